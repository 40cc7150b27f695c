"""Variants of the real model, held against sentence-transformers; skipped where the extra `models` is not installed."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dure.errors import ModelError
from dure.nlp.encoder import SentenceEncoder
from dure.nlp.sentence_config import SentenceConfig
from dure.nlp.sentence_model import SentenceModel
from tests.unit.nlp.conftest import MODULES

Variant = Callable[[dict[str, Any]], Path]

TEXTS = [
    "Upper Case and ÄÖÜ",
    "두레는 한국 마을의 공동 노동 조직이다.",
    "",
    "some more words, so that there is padding",
]


@pytest.fixture
def variant(encoder: SentenceEncoder, tmp_path: Path) -> Variant:
    """Make a snapshot that is the real one but for some of its JSON files."""

    def make(changed: dict[str, Any]) -> Path:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        real = encoder.snapshot.folder
        for name in {str(path.relative_to(real)) for path in real.rglob("*") if path.is_file()} | set(changed):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name in changed:
                path.write_text(json.dumps(changed[name]), encoding="utf-8")
            else:
                path.symlink_to(real / name)
        return folder

    return make


def load(folder: Path) -> SentenceModel:
    return SentenceModel(folder, SentenceConfig.read(folder), "cpu")


@pytest.mark.timeout(180)  # the first to run imports two large libraries
@pytest.mark.parametrize(
    "changed",
    [
        {"1_Pooling/config.json": {"word_embedding_dimension": 384, "pooling_mode_cls_token": True}},
        {"1_Pooling/config.json": {"word_embedding_dimension": 384, "pooling_mode_max_tokens": True}},
        {"modules.json": [{**module, "idx": i, "name": str(i)} for i, module in enumerate(MODULES[:2])]},
        {"sentence_bert_config.json": {"max_seq_length": 6, "do_lower_case": True}},
    ],
    ids=["cls", "max", "not normalized", "lower case, short"],
)
def test_what_follows_the_transformer_is_followed(changed: dict[str, Any], variant: Variant) -> None:
    library = pytest.importorskip("sentence_transformers", reason="the extra `models` is not installed")
    folder = variant(changed)
    expected = library.SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(load(folder).encode(TEXTS), expected, atol=1e-5)


def test_case_counts_where_the_tokenizer_keeps_it(variant: Variant, encoder: SentenceEncoder) -> None:
    tokenizer = json.loads((encoder.snapshot.folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["normalizer"]["lowercase"] = False
    cased = load(variant({"tokenizer.json": tokenizer})).encode(["UPPER", "upper"])
    assert np.abs(cased[0] - cased[1]).max() > 0.01
    folder = variant({"tokenizer.json": tokenizer, "sentence_bert_config.json": {"do_lower_case": True}})
    lowered = load(folder).encode(["UPPER", "upper"])
    np.testing.assert_allclose(lowered[0], lowered[1], atol=1e-5)


def test_weights_that_lack_a_layer_are_an_error(variant: Variant, encoder: SentenceEncoder) -> None:
    config = json.loads((encoder.snapshot.folder / "config.json").read_text(encoding="utf-8"))
    folder = variant({"config.json": {**config, "num_hidden_layers": 7}})
    with pytest.raises(ModelError, match=r"the weights lack encoder\.layer\.6\."):
        load(folder)


def test_weights_of_another_shape_are_an_error(variant: Variant, encoder: SentenceEncoder) -> None:
    config = json.loads((encoder.snapshot.folder / "config.json").read_text(encoding="utf-8"))
    with pytest.raises(ModelError, match="transformers cannot load it"):
        load(variant({"config.json": {**config, "intermediate_size": 768}}))


def test_damaged_weights_are_an_error(variant: Variant) -> None:
    with pytest.raises(ModelError, match="transformers cannot load it"):
        load(variant({"model.safetensors": "no weights"}))


def test_code_that_comes_with_a_model_is_not_run(variant: Variant, encoder: SentenceEncoder, tmp_path: Path) -> None:
    config = json.loads((encoder.snapshot.folder / "config.json").read_text(encoding="utf-8"))
    own = {"model_type": "of-its-own", "auto_map": {"AutoConfig": "code.C", "AutoModel": "code.M"}}
    folder = variant({"config.json": {**config, **own}})
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    with pytest.raises(ModelError, match="transformers cannot load it"):
        load(folder)
    assert not (tmp_path / "ran").exists()


def test_nothing_is_printed_and_settings_are_put_back(
    encoder: SentenceEncoder, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load(encoder.snapshot.folder)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    assert capfd.readouterr() == ("", "")
