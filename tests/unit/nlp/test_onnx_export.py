"""Where the ONNX file is kept, what its name holds, and that it appears whole or not at all."""

import importlib.metadata
import json
import shutil
import sys
from pathlib import Path

import pytest

from dure.errors import MissingDependency, ModelError
from dure.nlp.onnx_export import default_cache_folder, exported
from dure.nlp.precision import Computing
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for library, extra in (("transformers", "models"), ("onnx", "onnx"), ("onnxruntime", "onnx")):
        pytest.importorskip(library, reason=f"the extra `{extra}` is not installed")
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.mark.timeout(180)  # the first to run imports three large libraries
def test_it_is_made_once_for_each_precision_and_model(tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "a" / "cache"
    computing = Computing("onnx", "fp32", str(cache))
    first = exported(tiny, computing)
    made_ns = first.stat().st_mtime_ns
    assert exported(tiny, computing) == first
    assert first.stat().st_mtime_ns == made_ns

    small = exported(tiny, Computing("onnx", "int8", str(cache)))
    assert small.stat().st_size < first.stat().st_size
    other = shutil.copytree(tiny, tmp_path / "other")
    config = json.loads((other / "config.json").read_text(encoding="utf-8"))
    (other / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-6}), encoding="utf-8")
    changed = exported(other, computing)

    assert sorted(cache.iterdir()) == sorted([first, small, changed]), "nothing else is left there"
    assert first.name.endswith(f"-fp32-dure-{importlib.metadata.version('dure')}.onnx")
    assert not list(tiny.glob("*.onnx")), "nothing is written beside the weights"


def test_a_folder_that_cannot_be_written_to_is_told(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"file/cache: the ONNX file cannot be kept there.*Pass another cache_folder"):
        exported(tiny, Computing("onnx", "fp32", str(tmp_path / "file" / "cache")))


def test_without_onnx_the_extra_is_named(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependency, match=r"onnx is not installed.*dure\[onnx\]"):
        exported(tiny, Computing("onnx", "fp32", str(tmp_path)))
    assert not list(tmp_path.iterdir())


def test_the_user_s_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache_folder() == Path("/somewhere/dure/onnx")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/ada")
    assert default_cache_folder() == Path("/home/ada/.cache/dure/onnx")
