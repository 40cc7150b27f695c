import pytest
import torch

from dure.dataset.example import Span, TaggedText
from dure.errors import DeviceNotFound, ValidationError
from dure.learning.recipe import Recipe
from dure.learning.tagger_learner import TaggerLearner
from tests.unit.learning.tagged_sentences import tagged_sentences

TRAIN, VALIDATION = tagged_sentences(120, 0), tagged_sentences(40, 1)


def learner(**settings: object) -> TaggerLearner:
    recipe = Recipe(**{"task": "ner", "epochs": 3, "seed": 3, "batch_size": 16, **settings})  # type: ignore[arg-type]
    return TaggerLearner(recipe, TRAIN, VALIDATION)


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_that_was_broken_off_ends_as_an_unbroken_one(accumulate: int) -> None:
    unbroken = learner(accumulate=accumulate)
    losses = [unbroken.step(number) for number in range(10)]
    first = learner(accumulate=accumulate)
    for number in range(6):
        first.step(number)
    kept = {name: value.clone() for name, value in first.state().items()}
    first.step(6)  # what is in a state does not change with what comes after it
    second = learner(accumulate=accumulate)
    second.restore(kept)
    assert equal(second.state(), kept)
    assert [second.step(number) for number in range(6, 10)] == losses[6:]
    assert equal(second.state(), unbroken.state())
    assert second.validate() == unbroken.validate()


def test_other_seeds_give_other_models_and_the_same_the_same() -> None:
    one, same, other = learner(), learner(), learner(seed=4)
    assert one.step(0) == same.step(0)
    assert equal(one.state(), same.state())
    assert not equal(one.weights(), other.weights())
    assert one.step(1) != other.step(1)


def test_two_half_batches_teach_what_the_whole_one_does() -> None:
    whole, halves = learner(batch_size=32), learner(accumulate=2)
    assert whole.num_steps == halves.num_steps == 12
    assert whole.steps_per_epoch == 4


def test_weights_are_copies_and_can_be_gone_back_to() -> None:
    subject = learner()
    for number in range(24):
        subject.step(number)
    kept, score = subject.weights(), subject.validate()
    for number in range(24, 30):
        subject.step(number)
    assert not equal(kept, subject.weights())
    subject.set_weights(kept)
    assert equal(kept, subject.weights())
    assert subject.validate() == score


def test_rows_that_no_batch_uses_stay_as_they_are() -> None:
    subject = learner()
    before = subject.weights()["table"]
    subject.step(0)
    after = subject.weights()["table"]
    moved = (before != after).any(2).any(0)
    assert not moved[0]
    assert not after[:, 0].any()
    assert 0 < int(moved.sum()) < len(moved) - 1


def test_without_entities_there_is_nothing_to_learn() -> None:
    with pytest.raises(ValidationError, match="none in the 1 texts"):
        TaggerLearner(Recipe(task="ner"), [TaggedText("a b", ())], VALIDATION)
    with pytest.raises(ValidationError, match="none in the 0 texts"):
        TaggerLearner(Recipe(task="ner"), [], VALIDATION)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(DeviceNotFound):
        learner(device="gpu:63")


def test_odd_texts_are_learnt_from_without_harm() -> None:
    train = [
        TaggedText("Bob", (Span(0, 3, "PS"),)),
        TaggedText("unBob", (Span(2, 5, "PS"),)),
        TaggedText("", ()),
        TaggedText(" \u200b", ()),
        TaggedText("Ann and " + "so on " * 300 + "Bob", (Span(0, 3, "PS"), Span(1808, 1811, "PS"))),
    ]
    subject = TaggerLearner(Recipe(task="ner", epochs=1, batch_size=1), train, [TaggedText("", ())])
    assert subject.num_widened == 1
    losses = [subject.step(number) for number in range(subject.num_steps)]
    assert all(0 < loss < 1e6 for loss in losses)
    assert subject.validate() == 1.0
