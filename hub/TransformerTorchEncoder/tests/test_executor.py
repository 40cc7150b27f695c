"""The Executor on its own, and behind a Flow, with a model that is written here."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dure import Document, DocumentArray, Flow
from dure.errors import ModelNotFound, SpecError, UnsafeModel
from tests.tiny_model import HIDDEN_SIZE, write_tiny_model

BUNDLE = Path(__file__).resolve().parents[1]
TEXTS = ["one", "some more words, so that there is padding", "", "z"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers", reason="the extra `models` is not installed")
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def made(folder: Path, **settings: Any) -> Any:
    from dure.executor.loader import construct, resolve

    recipe = resolve(str(BUNDLE), [])
    return construct(recipe, {"pretrained_model_name_or_path": str(folder), **settings}, {}, {})


def documents(texts: list[str]) -> DocumentArray:
    return DocumentArray([Document(text=text) for text in texts])


@pytest.mark.timeout(180)  # the first to run imports two large libraries
@pytest.mark.parametrize("pooling", ["mean", "min", "max", "cls"])
def test_poolings_are_those_of_their_names(pooling: str, tiny: Path) -> None:
    import torch

    executor = made(tiny, pooling_strategy=pooling, batch_size=2)
    docs = documents(TEXTS)
    executor.encode(docs=docs, parameters={})
    for doc in docs:
        ids = executor.tokenizer(doc.text, return_tensors="pt")
        with torch.inference_mode():
            hidden = executor.model(input_ids=ids["input_ids"]).last_hidden_state[0].numpy()
        expected = hidden[0] if pooling == "cls" else getattr(np, pooling)(hidden, axis=0)
        np.testing.assert_allclose(doc.embedding, expected, atol=1e-5)


def test_the_layer_and_the_length_are_those_asked_for(tiny: Path) -> None:
    last, first = made(tiny), made(tiny, layer_index=0)
    assert np.abs(last.embed(["abc"], 8) - first.embed(["abc"], 8)).max() > 1e-3
    short = made(tiny, max_length=3)
    np.testing.assert_allclose(short.embed(["a bc def"], 8), short.embed(["a"], 8), atol=1e-5)


def test_chunks_can_be_embedded(tiny: Path) -> None:
    doc = Document(text="whole")
    doc.chunks = DocumentArray([Document(text="a"), Document(text="b")])
    made(tiny).encode(docs=DocumentArray([doc]), parameters={"traversal_paths": "c"})
    assert doc.embedding is None
    assert [part.embedding.shape for part in doc.chunks] == [(HIDDEN_SIZE,)] * 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pooling_strategy": "median"}, "one of mean, min, max, cls, not 'median'"),
        ({"layer_index": 9}, "layer_index: from -3 to 2"),
        ({"max_length": 10_000}, "at most 64 tokens"),
        ({"batch_size": 0}, "batch_size: a whole number from 1"),
        ({"embedding_fn_name": "embed_it"}, "has no 'embed_it'"),
        ({"base_tokenizer_model": "nowhere"}, "no tokenizer in"),
        ({"pooling": "mean"}, "takes no argument 'pooling'"),
    ],
)
def test_settings_that_are_wrong(settings: dict[str, Any], words: str, tiny: Path) -> None:
    with pytest.raises(SpecError, match=words):
        made(tiny, **settings)


def test_pickled_weights_are_refused(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny / "config.json").read_bytes())
    with pytest.raises(ModelNotFound, match=r"lacks model\.safetensors"):
        made(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UnsafeModel, match="pickle runs code"):
        made(tmp_path)


def test_served_by_a_flow(tiny: Path) -> None:
    with Flow().add(uses=str(BUNDLE), uses_with={"pretrained_model_name_or_path": str(tiny)}) as flow:
        docs = flow.post(on="/encode", inputs=documents(TEXTS))
    np.testing.assert_allclose(docs.embeddings, made(tiny).embed(TEXTS, 32), atol=1e-5)
