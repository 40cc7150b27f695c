"""Precisions of PyTorch, on a tiny model; which layers are left in fp32."""

from pathlib import Path

import pytest

from dure import cpu, gpu
from dure.device.simulated import simulated_gpus
from dure.nlp.fidelity import SENTENCES, compare
from dure.nlp.precision import Computing
from dure.nlp.sentence_config import SentenceConfig
from dure.nlp.sentence_model import SentenceModel
from dure.nlp.torch_transformer import TorchTransformer, keeps_fp32
from tests.tiny_model import write_tiny_model

TEXTS = [sentence[:60] for sentence in SENTENCES]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers", reason="the extra `models` is not installed")
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.mark.timeout(180)  # the first to run imports two large libraries
@pytest.mark.parametrize(("precision", "least"), [("bf16", 0.99), ("int8", 0.95)])
def test_a_cpu_computes_in_less_and_is_near(precision: str, least: float, tiny: Path) -> None:
    config = SentenceConfig.read(tiny)
    exact = SentenceModel(tiny, config, cpu()).encode(TEXTS)
    found = SentenceModel(tiny, config, cpu(), computing=Computing("torch", precision)).encode(TEXTS)
    assert found.dtype == exact.dtype
    alike = compare(found, exact)
    assert least <= alike.least < 1 - 1e-7, "not as near as it should be, or not in another precision at all"


def test_a_gpu_computes_in_fp16(tiny: Path) -> None:
    config = SentenceConfig.read(tiny)
    exact = SentenceModel(tiny, config, cpu()).encode(TEXTS)
    with simulated_gpus(1):
        found = SentenceModel(tiny, config, gpu(0), computing=Computing("torch", "fp16")).encode(TEXTS)
    assert 0.99 <= compare(found, exact).least < 1 - 1e-7


def test_int8_leaves_the_layers_with_outliers_in_fp32(tiny: Path) -> None:
    import torch

    layers = dict(TorchTransformer(tiny, cpu(), "int8")._model.named_modules())
    assert isinstance(layers["encoder.layer.0.output.dense"], torch.nn.Linear)
    assert not isinstance(layers["encoder.layer.1.output.dense"], torch.nn.Linear)
    assert "DynamicQuantizedLinear" in repr(layers["encoder.layer.0.intermediate.dense"])


@pytest.mark.parametrize(
    ("layer", "num_layers", "kept"),
    [
        ("encoder.layer.0.output.dense", 6, True),
        ("encoder.layer.1.attention.output.dense", 6, True),
        ("/model/encoder/layer.1/attention/output/dense/MatMul", 6, True),
        ("encoder.layer.2.output.dense", 6, False),
        ("encoder.layer.3.output.dense", 12, True),
        ("encoder.layer.0.intermediate.dense", 6, False),
        ("encoder.layer.0.attention.self.query", 6, False),
        ("pooler.dense", 6, False),
    ],
)
def test_which_layers_those_are(layer: str, num_layers: int, kept: bool) -> None:
    assert keeps_fp32(layer, num_layers) is kept
