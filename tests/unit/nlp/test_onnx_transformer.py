"""ONNX Runtime on a tiny model: the same numbers, in fp32 and nearly in int8; threads; files it cannot read."""

import os
from pathlib import Path

import numpy as np
import pytest

from dure import cpu
from dure.device.cores import usable_cores
from dure.errors import ModelError
from dure.nlp.fidelity import SENTENCES, compare
from dure.nlp.onnx_export import exported
from dure.nlp.onnx_transformer import num_threads
from dure.nlp.precision import Computing
from dure.nlp.sentence_config import SentenceConfig
from dure.nlp.sentence_model import SentenceModel
from tests.tiny_model import write_tiny_model

TEXTS = [*(sentence[:60] for sentence in SENTENCES), "", " "]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for library, extra in (("transformers", "models"), ("onnx", "onnx"), ("onnxruntime", "onnx")):
        pytest.importorskip(library, reason=f"the extra `{extra}` is not installed")
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


@pytest.mark.timeout(180)  # the first to run imports three large libraries
def test_fp32_gives_the_same_numbers(tiny: Path, cache: str) -> None:
    config = SentenceConfig.read(tiny)
    exact = SentenceModel(tiny, config, cpu()).encode(TEXTS)
    found = SentenceModel(tiny, config, cpu(), computing=Computing("onnx", "fp32", cache)).encode(TEXTS)
    np.testing.assert_allclose(found, exact, atol=1e-4)


def test_int8_is_near(tiny: Path, cache: str) -> None:
    config = SentenceConfig.read(tiny)
    exact = SentenceModel(tiny, config, cpu()).encode(TEXTS)
    found = SentenceModel(tiny, config, cpu(), computing=Computing("onnx", "int8", cache)).encode(TEXTS)
    assert 0.95 <= compare(found, exact).least < 1 - 1e-6


def test_a_damaged_file_is_told_and_not_made_again_in_silence(tiny: Path, tmp_path: Path) -> None:
    computing = Computing("onnx", "fp32", str(tmp_path))
    path = exported(tiny, computing)
    path.write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"\.onnx: ONNX Runtime cannot use it: .*Delete it"):
        SentenceModel(tiny, SentenceConfig.read(tiny), cpu(), computing=computing)


@pytest.mark.parametrize(("told", "threads"), [("3", 3), ("4,2", 4), ("0", 1), ("", None), ("many", None)])
def test_threads(told: str, threads: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert num_threads() == (usable_cores() if threads is None else threads)
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
