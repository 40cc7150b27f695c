"""Predictions of a trained classifier: alone, among others, saved and loaded, and of every text there is."""

import json
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from dure.dataset.example import LabelledText
from dure.device.context import cpu
from dure.errors import ModelError
from dure.learning.classifier import NgramClassifier
from dure.learning.kinds import load_model
from dure.learning.model import MODEL_FILE, WEIGHTS_FILE
from dure.learning.recipe import Recipe
from dure.learning.training import train

PRAISE = ("정말 재미있다", "최고의 영화", "a wonderful film", "감동 ㅠㅠ", "👍👍 love it")
BLAME = ("지루하고 재미없다", "돈이 아깝다", "a dull film", "최악 ㅋㅋㅋ", "👎 hate it")
ODD = ["", "   ", "굳", "ㅋ", "👍", "\0", "\ud800", "Ω≈ç", "재미", "없" * 140, "a wonderful film " * 9]


def told(lines: Sequence[str], label: str) -> list[LabelledText]:
    return [LabelledText(f"{line} {number}", label) for number in range(8) for line in lines]


@pytest.fixture(scope="module")
def model() -> NgramClassifier:
    examples = told(PRAISE, "good") + told(BLAME, "bad")
    trained = train(Recipe(task="tc", epochs=8), (examples, examples)).model
    assert isinstance(trained, NgramClassifier)
    return trained


def test_it_says_what_it_was_taught(model: NgramClassifier) -> None:
    said = model.predict(["재미있는 최고의 영화", "지루하고 최악", "wonderful", "dull 👎"])
    assert [answer.label for answer in said] == ["good", "bad", "good", "bad"]


def test_probabilities_are_of_all_labels_in_order_and_sum_to_one(model: NgramClassifier) -> None:
    for answer in model.predict(ODD):
        assert list(answer.probabilities) == ["bad", "good"] == list(model.labels)
        assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-6)
        assert answer.score == answer.probabilities[answer.label] == max(answer.probabilities.values())


@pytest.mark.parametrize("batch_size", [1, 3, None])
def test_a_text_is_answered_alone_as_among_others(model: NgramClassifier, batch_size: int | None) -> None:
    together = model.predict([*ODD, "최고 " * 2000], batch_size)
    for text, answer in zip(ODD, together, strict=False):
        alone = model.predict([text])[0]
        assert alone.label == answer.label
        assert alone.probabilities == pytest.approx(answer.probabilities, abs=1e-5)


def test_no_texts_no_answers(model: NgramClassifier) -> None:
    assert model.predict([]) == []


def test_a_million_characters_are_answered_in_bounded_memory(model: NgramClassifier) -> None:
    texts = ["최고의 영화 " * 143_000] * 3
    tracemalloc.start()
    said = model.predict(texts)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [answer.label for answer in said] == ["good"] * 3
    assert peak_bytes < 200e6


def test_saved_and_loaded_it_says_the_same(model: NgramClassifier, tmp_path: Path) -> None:
    model.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [MODEL_FILE, WEIGHTS_FILE]
    began = time.perf_counter()
    loaded = load_model(tmp_path, cpu())
    assert time.perf_counter() - began < 0.5
    assert isinstance(loaded, NgramClassifier)
    assert loaded.labels == model.labels
    assert loaded.predict(ODD) == model.predict(ODD)


def test_parts_that_do_not_fit_are_told(model: NgramClassifier, tmp_path: Path) -> None:
    model.save(tmp_path)
    description = json.loads((tmp_path / MODEL_FILE).read_text())
    for change in ({"labels": ["a", "b", "c"]}, {"mixture": {"temperature": "warm"}}, {"mixture": None}):
        (tmp_path / MODEL_FILE).write_text(json.dumps({**description, **change}))
        with pytest.raises(ModelError, match="do not fit"):
            load_model(tmp_path, cpu())
    (tmp_path / MODEL_FILE).write_text(json.dumps(description))
    (tmp_path / WEIGHTS_FILE).write_bytes((tmp_path / WEIGHTS_FILE).read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"weights\.safetensors is missing or damaged"):
        load_model(tmp_path, cpu())


def test_an_order_of_hashes_that_is_not_ascending_is_told(model: NgramClassifier, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model.save(tmp_path)
    tensors = load_file(tmp_path / WEIGHTS_FILE)
    tensors["hashes"] = tensors["hashes"].flip(0).contiguous()
    save_file(tensors, tmp_path / WEIGHTS_FILE)
    with pytest.raises(ModelError, match="ascending"):
        load_model(tmp_path, cpu())


def test_threads_may_share_it(model: NgramClassifier) -> None:
    from concurrent.futures import ThreadPoolExecutor

    expected = model.predict(ODD)
    with ThreadPoolExecutor(4) as pool:
        assert all(said == expected for said in pool.map(lambda _: model.predict(ODD), range(20)))
    assert torch.equal(model.logits(ODD), model.logits(ODD))
