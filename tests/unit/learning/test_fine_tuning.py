"""Encoders fine-tuned for real: a tiny one that is made here, which nothing was ever learnt with before."""

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from dure.dataset.example import LabelledText, Span, TaggedText
from dure.device.context import cpu
from dure.errors import Cancelled, ModelError, ModelNotFound, ValidationError
from dure.learning.kinds import learner_for, load_model
from dure.learning.recipe import Recipe
from dure.learning.training import train
from tests.tiny_model import MAX_LENGTH, write_tiny_model

if TYPE_CHECKING:
    from dure.learning.progress import Progress

NAMES = ("anna", "bob", "chloe", "dmitri", "eva", "farid")
PLACES = ("oslo", "rome", "lima", "cairo")
FORMS = ("{name} went to {place}.", "in {place}, {name} sang", "nobody saw {name} again", "{place} is cold today")


def tagged(count: int) -> list[TaggedText]:
    chance = random.Random(0)
    texts = []
    for _ in range(count):
        name, place = chance.choice(NAMES), chance.choice(PLACES)
        text = chance.choice(FORMS).format(name=name, place=place)
        found = [(text.find(word), word, kind) for word, kind in ((name, "PER"), (place, "LOC"))]
        spans = sorted(((at, at + len(word), kind) for at, word, kind in found if at >= 0))
        texts.append(TaggedText(text, tuple(Span(*span) for span in spans)))
    return texts


def labelled(count: int) -> list[LabelledText]:
    return [
        LabelledText(example.text, "people" if any(span.type == "PER" for span in example.entities) else "weather")
        for example in tagged(count)
    ]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An encoder to which every word is a token."""
    words = sorted({word for form in FORMS for word in form.format(name="", place="").strip(" .").split()})
    return str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny", [*words, *NAMES, *PLACES]))


DATA: dict[str, Callable[[int], Any]] = {"tc": labelled, "ner": tagged}


@pytest.fixture(scope="module", params=["tc", "ner"])
def recipe(request: pytest.FixtureRequest, encoder: str) -> Recipe:
    return Recipe(task=request.param, encoder=encoder, epochs=8, batch_size=16, learning_rate=3e-3)


def parts(recipe: Recipe, count: int = 240) -> tuple[Any, Any]:
    data = DATA[recipe.task](count)
    return data[: -count // 4], data[-count // 4 :]


@pytest.fixture(scope="module")
def model(recipe: Recipe) -> Any:
    trained = train(recipe, parts(recipe))
    assert trained.score > {"tc": 0.95, "ner": 0.8}[recipe.task]
    return trained.model


def test_what_was_saved_says_the_same(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path)
    kept = load_model(tmp_path, cpu())
    texts = [example.text for example in tagged(40)]
    assert kept.predict(texts) == model.predict(texts)
    assert kept.labels == model.labels
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "tokenizer.json", "weights.safetensors"]


def test_what_stands_beside_a_text_changes_nothing(model: Any) -> None:
    text, long = "in oslo, anna sang", "nobody saw bob again, " * 3
    alone, beside = model.predict([text])[0], model.predict([long, text, "", long])[1]
    if model.task == "tc":
        assert alone.label == beside.label
        assert alone.score == pytest.approx(beside.score, abs=1e-5)
        assert sum(alone.probabilities.values()) == pytest.approx(1, abs=1e-5)
        return
    assert [(entity.start, entity.end, entity.type) for entity in alone] == [(3, 7, "LOC"), (9, 13, "PER")]
    for one, other in zip(alone, beside, strict=True):
        assert replace(one, score=0) == replace(other, score=0)
        assert one.score == pytest.approx(other.score, abs=1e-5)
        assert 0.3 < one.score <= 1


@pytest.mark.parametrize("text", ["", " ", "😀", "ㅋㅋㅋ", "x" * 20_000])
def test_texts_of_every_kind_are_answered(model: Any, text: str) -> None:
    (said,) = model.predict([text])
    assert said.label in model.labels if model.task == "tc" else isinstance(said, list)


def test_an_entity_far_behind_in_a_text_is_found(model: Any) -> None:
    if model.task == "tc":
        pytest.skip("a classifier reads as much of a text as the encoder takes")
    text = "nobody saw eva again. " * (10 * MAX_LENGTH // 22)
    found = model.predict([text])[0]
    places = [at for at in range(len(text)) if text.startswith("eva", at)]
    right = [entity for entity in found if entity.start in places and entity.text == "eva"]
    assert len(right) > 0.4 * len(places), "it has seen names in short texts only"
    assert right[-1].start > len(text) / 2, "beyond what the encoder takes at once"
    assert all(text[entity.start : entity.end] == entity.text for entity in found)
    assert all(one.end <= other.start for one, other in pairwise(found))


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_training_that_goes_on_ends_as_one_that_was_never_stopped(
    recipe: Recipe, tmp_path: Path, accumulate: int
) -> None:
    short = replace(recipe, epochs=2, accumulate=accumulate)
    told: list[Progress] = []
    with pytest.raises(Cancelled):
        train(short, parts(short, 80), checkpoints=tmp_path, report=told.append, stop=lambda: len(told) == 2)
    halves = train(short, parts(short, 80), checkpoints=tmp_path)
    whole = train(short, parts(short, 80))
    texts = [example.text for example in tagged(20)]
    assert halves.model.predict(texts) == whole.model.predict(texts)
    assert halves.score == whole.score


def test_accumulated_passes_are_one_large_batch(recipe: Recipe) -> None:
    """Without dropout, two passes of 8 rows are as good as one of 16."""
    losses = []
    for batch_size, accumulate in ((16, 1), (8, 2)):
        learner: Any = learner_for(replace(recipe, batch_size=batch_size, accumulate=accumulate), *parts(recipe, 40))
        for part in learner.network.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0
        learner._batches = lambda epoch, size=batch_size: [list(range(at, at + size)) for at in range(0, 16, size)]
        learner.step(0)
        losses.append(next(learner.network.head.parameters()).detach().clone())
    torch.testing.assert_close(*losses, atol=1e-5, rtol=1e-4)


def test_shares_are_one_large_batch(recipe: Recipe) -> None:
    """Without dropout, what the shares of a batch add up to is its gradient; and what nobody uses stays as it is."""
    learners: list[Any] = []
    for shares in (1, 3):
        learner: Any = learner_for(replace(recipe, shares=shares), *parts(recipe, 40))
        for part in learner.network.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0
        learner.before = {name: value.clone() for name, value in learner.network.state_dict().items()}
        learner.told = learner.step(0)
        learners.append(learner)
    whole, shared = learners
    assert whole.told == pytest.approx(shared.told, rel=1e-5)
    for (name, one), other in zip(whole.weights().items(), shared.weights().values(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
        assert torch.equal(one, whole.before[name]) is torch.equal(other, shared.before[name]), name


def test_a_share_that_does_not_fit_has_all_of_them_train_with_smaller_batches(recipe: Recipe) -> None:
    def small(recipe: Recipe, *parts: Any) -> Any:
        learner: Any = learner_for(recipe, *parts)
        loss = learner.loss

        def limited(rows: list[int]) -> torch.Tensor:
            if len(rows) > 4:
                raise torch.OutOfMemoryError("no room")
            found: torch.Tensor = loss(rows)
            return found

        learner.loss = limited
        return learner

    told: list[Progress] = []
    shared = replace(recipe, epochs=1, shares=3)
    trained = train(shared, parts(recipe, 40), report=told.append, make_learner=small)
    assert (trained.recipe.batch_size, trained.recipe.accumulate) == (8, 2)
    assert "16 examples at once do not fit" in told[0].note


def test_bfloat16(recipe: Recipe) -> None:
    trained = train(replace(recipe, epochs=2, precision="bfloat16"), parts(recipe, 80))
    assert 0 <= trained.score <= 1
    weights = trained.model._network.state_dict()  # type: ignore[attr-defined]
    assert {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()} == {torch.float32}


def test_an_encoder_that_is_not_there(recipe: Recipe) -> None:
    with pytest.raises(ModelNotFound, match="no-such-encoder"):
        learner_for(replace(recipe, encoder="no-such-encoder"), *parts(recipe))


def test_one_class_is_nothing_to_learn(encoder: str) -> None:
    with pytest.raises(ValidationError, match="tells classes apart: 1 in the 2 texts"):
        learner_for(Recipe(task="tc", encoder=encoder), [LabelledText("x", "a")] * 2, [])
    with pytest.raises(ValidationError, match="learns from entities: there are none in the 1 texts"):
        learner_for(Recipe(task="ner", encoder=encoder), [TaggedText("x", ())], [])


@pytest.mark.parametrize("file", ["model.json", "tokenizer.json", "weights.safetensors"])
def test_a_damaged_file_is_named(model: Any, tmp_path: Path, file: str) -> None:
    model.save(tmp_path)
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=file.replace(".", r"\.")):
        load_model(tmp_path, cpu())
    (tmp_path / file).unlink()
    with pytest.raises(ModelError, match=file.replace(".", r"\.")):
        load_model(tmp_path, cpu())
