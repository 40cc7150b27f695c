"""A classifier learns for real: which module of the standard library a sentence is of."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from dure.dataset import corpus
from dure.dataset.example import LabelledText
from dure.dataset.split import split
from dure.errors import Cancelled, ValidationError
from dure.learning.calibration import calibration_error
from dure.learning.classifier_learner import ClassifierLearner
from dure.learning.recipe import Recipe
from dure.learning.training import train

if TYPE_CHECKING:
    from dure.learning.progress import Progress

RECIPE = Recipe(task="tc", epochs=4)
MODULES = ("argparse.py", "_pydecimal.py", "turtle.py", "statistics.py", "inspect.py", "typing.py", "tarfile.py")
Parts = tuple[Sequence[LabelledText], Sequence[LabelledText]]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    folder = tmp_path_factory.mktemp("library")
    for name in MODULES:
        shutil.copy(corpus.standard_library() / name, folder)
    found = split([LabelledText(text, label) for text, label in corpus.labelled(folder, min_sentences=40)], 0.8, 0)
    return found[0], found[1]


def learner(parts: Parts, recipe: Recipe = RECIPE) -> ClassifierLearner:
    return ClassifierLearner(recipe, *parts)


def test_it_learns_what_guessing_cannot_reach(parts: Parts) -> None:
    trained = train(RECIPE, parts)
    largest = max(sum(e.label == label for e in parts[1]) for label in {e.label for e in parts[1]}) / len(parts[1])
    assert trained.score > max(0.6, largest + 0.2)


def test_the_loss_falls(parts: Parts) -> None:
    learning = learner(parts)
    losses = [learning.step(number) for number in range(learning.num_steps)]
    per_epoch = learning.steps_per_epoch
    assert sum(losses[-per_epoch:]) < 0.6 * sum(losses[:per_epoch])


def test_resumed_is_as_unbroken(parts: Parts) -> None:
    unbroken, first = learner(parts), learner(parts)
    for number in range(20):
        unbroken.step(number)
    for number in range(10):
        first.step(number)
    second = learner(parts)
    second.restore({name: tensor.clone() for name, tensor in first.state().items()})
    for number in range(10, 20):
        second.step(number)
    for name, tensor in unbroken.state().items():
        assert torch.equal(tensor, second.state()[name])


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_training_that_was_stopped_in_either_fit_ends_with_the_same_bytes(
    parts: Parts, tmp_path: Path, share: float
) -> None:
    told: list[Progress] = []
    recipe, some = replace(RECIPE, epochs=2), (parts[0][:200], parts[1][:50])

    def stop() -> bool:
        return bool(told) and told[-1].share >= share

    with pytest.raises(Cancelled):
        train(recipe, some, checkpoints=tmp_path, report=told.append, stop=stop)
    models = [train(recipe, some, checkpoints=tmp_path).model, train(recipe, some).model]
    for number, model in enumerate(models):
        (tmp_path / str(number)).mkdir()
        model.save(tmp_path / str(number))
    for name in ("model.json", "weights.safetensors"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "1" / name).read_bytes()


def test_another_seed_is_another_training(parts: Parts) -> None:
    one, other = learner(parts), learner(parts, replace(RECIPE, seed=1))
    one.step(0), other.step(0)
    assert not torch.equal(one.state()["weights"], other.state()["weights"])


def test_weights_are_kept_while_training_goes_on(parts: Parts) -> None:
    learning = learner(parts)
    kept = learning.weights()
    copies = {name: tensor.clone() for name, tensor in kept.items()}
    learning.step(0)
    assert all(torch.equal(kept[name], copies[name]) for name in kept)
    learning.set_weights(kept)
    assert all(torch.equal(learning.weights()[name], copies[name]) for name in kept)


def test_several_passes_a_step_learn_from_as_many_rows(parts: Parts) -> None:
    whole = learner(parts, replace(RECIPE, batch_size=32))
    halves = learner(parts, replace(RECIPE, batch_size=16, accumulate=2))
    assert halves.num_steps == whole.num_steps
    assert halves.step(0) == pytest.approx(whole.step(0), rel=1e-5)
    assert torch.allclose(halves.state()["weights"], whole.state()["weights"], atol=1e-5)


def test_probabilities_are_calibrated(parts: Parts) -> None:
    learning = learner(parts)
    for number in range(learning.num_steps):
        learning.step(number)
    model, numbers = learning.finish(), {label: at for at, label in enumerate(learning.labels)}
    gold = torch.tensor([numbers[example.label] for example in parts[1]])
    said = model.predict([example.text for example in parts[1]])
    shares = torch.tensor([list(answer.probabilities.values()) for answer in said], dtype=torch.float64)
    before = calibration_error(model.logits([example.text for example in parts[1]]), gold)
    after = calibration_error(shares.log(), gold)
    assert after < min(0.12, before)


def test_a_rare_class_counts_as_much_when_asked() -> None:
    common = [LabelledText(f"the usual thing {number % 9}", "common") for number in range(190)]
    rare = [LabelledText(f"the usual case {number % 9}", "rare") for number in range(10)]
    parts = common + rare, common[:5] + rare[:5]
    first = {weights: learner(parts, replace(RECIPE, class_weights=weights)) for weights in ("none", "balanced")}
    for learning in first.values():
        for number in range(4):
            learning.step(number)
    scores = {weights: learning.finish().logits(["the usual"])[0] for weights, learning in first.items()}
    assert scores["balanced"][1] - scores["balanced"][0] > scores["none"][1] - scores["none"][0] + 0.3


def test_a_class_that_only_validates_is_left_out() -> None:
    texts = [LabelledText(word * 3, word) for word in ("a", "b") for _ in range(5)]
    learning = learner((texts, [LabelledText("c", "c"), texts[0]]))
    for number in range(learning.num_steps):
        learning.step(number)
    assert learning.labels == ("a", "b")
    assert learning.validate() == 1.0


def test_data_that_cannot_be_learnt_from_is_refused() -> None:
    one, other = LabelledText("x", "a"), LabelledText("y", "b")
    with pytest.raises(ValidationError, match="1 in the 2 texts"):
        learner(([one, one], [one]))
    with pytest.raises(ValidationError, match="0 in the 0 texts"):
        learner(([], [one]))
    with pytest.raises(ValidationError, match="none of the 1 texts that validate"):
        learner(([one, other], [LabelledText("z", "c")]))


def test_texts_without_anything_in_them_are_learnt_from() -> None:
    texts = [LabelledText("", "a"), LabelledText(" ", "a"), LabelledText("", "b")]
    learning = learner((texts, texts))
    losses = [learning.step(number) for number in range(learning.num_steps)]
    assert all(loss == loss for loss in losses)
    assert learning.finish().predict(["", "anything"])[0].label == "a"
