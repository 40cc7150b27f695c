"""The one place where a backend is chosen."""

from pathlib import Path

import numpy as np
import pytest

from dure import cpu, gpu
from dure.errors import SpecError
from dure.nlp.precision import Computing
from dure.nlp.transformer import load_transformer
from tests.tiny_model import HIDDEN_SIZE, MAX_LENGTH, write_tiny_model


@pytest.mark.timeout(180)  # the first to run imports large libraries
@pytest.mark.parametrize(("backend", "library"), [("torch", "transformers"), ("onnx", "onnxruntime")])
def test_every_backend_has_the_same_face(backend: str, library: str, tmp_path: Path) -> None:
    pytest.importorskip(library, reason=f"the extra for {backend} is not installed")
    folder = write_tiny_model(tmp_path / "tiny")
    transformer = load_transformer(folder, cpu(), Computing(backend, cache_folder=str(tmp_path / "cache")))
    assert (transformer.hidden_size, transformer.max_tokens, transformer.pad_id) == (HIDDEN_SIZE, MAX_LENGTH, 0)
    ids = np.full((3, 5), 7)
    if backend == "torch":
        import torch

        with torch.inference_mode():
            hidden = transformer(torch.from_numpy(ids), torch.ones((3, 5), dtype=torch.int64)).numpy()
    else:
        hidden = transformer(ids, np.ones_like(ids))
    assert (hidden.shape, hidden.dtype) == ((3, 5, HIDDEN_SIZE), np.float32)


def test_what_does_not_go_together_is_refused_first(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="runs on the CPU only"):
        load_transformer(tmp_path / "nothing here", gpu(0), Computing("onnx"))
