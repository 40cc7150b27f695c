"""A snapshot that carries its ONNX file: the same numbers, where neither PyTorch nor transformers is installed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dure.errors import ModelError, ModelNotFound
from dure.nlp.carry import files_in_place_of_weights
from dure.nlp.encoder import SentenceEncoder
from dure.nlp.onnx_file import about_name, carried, carried_name
from tests.tiny_model import HIDDEN_SIZE, MAX_LENGTH, write_tiny_model

TEXTS = ["many hands", "make light work, and some more words so that there is padding", ""]


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for library, extra in (("transformers", "models"), ("onnx", "onnx"), ("onnxruntime", "onnx")):
        pytest.importorskip(library, reason=f"the extra `{extra}` is not installed")
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def light(exact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the snapshot without weights, as an image has it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = Path(shutil.copytree(exact, tmp_path / "models" / "light"))
    for name, content in files_in_place_of_weights(exact, "fp32").items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.read_bytes() if isinstance(content, Path) else content.encode())
    (folder / "model.safetensors").unlink()
    return folder


PROGRAM = """
import sys
import importlib.abc

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "onnx", "safetensors", "sentence_transformers"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from dure.nlp.encoder import SentenceEncoder
from dure import Document, DocumentArray
encoder = SentenceEncoder("light", backend="onnx")
docs = DocumentArray([Document(text=text) for text in %r])
encoder.encode(docs)
print(encoder.least_cosine, encoder.snapshot.origin, docs.embeddings.astype("f4").tobytes().hex(), sep="|")
"""


@pytest.mark.timeout(180)  # the first to run imports three large libraries
def test_neither_pytorch_nor_transformers_is_needed(light: Path, exact: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM % TEXTS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    cosine, origin, hexadecimal = done.stdout.strip().split("|")
    assert float(cosine) > 0.9999
    assert origin == "folder of this image", "found in models/ by its name"
    found = np.frombuffer(bytes.fromhex(hexadecimal), np.float32).reshape(len(TEXTS), -1)
    np.testing.assert_allclose(found, SentenceEncoder(str(exact))._model.encode(TEXTS), atol=1e-4)


def test_what_is_known_of_it_stands_beside_it(light: Path) -> None:
    found = carried(light, "fp32")
    assert found is not None
    assert found.path == str(light / carried_name("fp32"))
    assert (found.hidden_size, found.max_tokens, found.pad_id) == (HIDDEN_SIZE, MAX_LENGTH, 0)
    assert json.loads((light / about_name("fp32")).read_text(encoding="utf-8"))["path"] == "", "no path of this machine"
    assert carried(light, "int8") is None
    (light / about_name("fp32")).write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"dure-fp32\.json: cannot be read.*hub build --onnx"):
        carried(light, "fp32")


def test_without_weights_only_its_own_backend_and_precision_run(light: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"lacks model\.safetensors"):
        SentenceEncoder(str(light))
    with pytest.raises(ModelNotFound, match=r"lacks model\.safetensors"):
        SentenceEncoder(str(light), backend="onnx", precision="int8")
