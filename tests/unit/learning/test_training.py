import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from dure.errors import Cancelled, DeviceOutOfMemory, TrainingFailed
from dure.learning import training
from dure.learning.evaluation import evaluate
from dure.learning.prediction import Classification
from dure.learning.recipe import Recipe
from dure.learning.training import CHECKPOINT_FILE, Trained, train
from tests.unit.learning.tiny_learner import TinyLearner, TinyModel, examples

if TYPE_CHECKING:
    from dure.learning.progress import Progress

PARTS = (examples()[:48], examples()[48:])
ONE_FIT = Recipe(task="tc", refit=False)


def trained(recipe: Recipe = ONE_FIT, learner: Any = TinyLearner, parts: Any = PARTS, **options: Any) -> Trained:
    return train(recipe, parts, make_learner=learner, **options)


def weight(result: Trained) -> torch.Tensor:
    assert isinstance(result.model, TinyModel)
    return result.model.weight


def factor(result: Trained) -> float:
    assert isinstance(result.model, TinyModel)
    return result.model.factor


def test_a_training_learns_and_tells_how_far_it_is() -> None:
    told: list[Progress] = []
    result = trained(report=told.append)
    assert result.score == 1.0
    assert [progress.step for progress in told] == list(range(1, 31))
    assert told[-1].share == 1.0
    assert [progress.epoch for progress in told if progress.score is not None] == [1, 2, 3, 4, 5]
    assert told[-1].loss < told[0].loss
    assert 0 < told[0].elapsed_time_s <= told[-1].elapsed_time_s <= result.elapsed_time_s
    assert result.history == tuple(told), "a short training is remembered whole"


def test_the_same_seed_gives_the_same_model_and_another_gives_another() -> None:
    assert torch.equal(weight(trained()), weight(trained()))
    assert not torch.equal(weight(trained()), weight(trained(Recipe(task="tc", refit=False, seed=1))))


def test_at_the_end_a_model_learns_anew_from_all_rows() -> None:
    told: list[Progress] = []
    both = [*PARTS[0], *PARTS[1]]
    result = trained(Recipe(task="tc"), report=told.append)
    assert [progress.step for progress in told] == list(range(1, 71))
    assert {progress.num_steps for progress in told} == {70}, "30 steps on 48 rows, 40 on all 60"
    assert [progress.epoch for progress in told if progress.score is not None] == [1, 2, 3, 4, 5]
    assert told[-1].epoch == 10
    assert (told[29].note, told[30].note) == ("", "validated; learns anew from all 60 rows now")
    assert result.num_rows == 60
    assert torch.equal(weight(result), weight(trained(parts=(both, PARTS[1]))))
    judged = trained()
    assert (result.score, result.scores, factor(result)) == (judged.score, judged.scores, factor(judged))
    assert judged.num_rows == 48


class ByHeart(TinyModel):
    """Has right what was learnt from, and nothing else."""

    seen: dict[str, str]

    def predict(self, texts: Sequence[str], batch_size: int | None = None) -> list[Classification]:
        return [Classification(self.seen.get(text, "?"), 1.0, {}) for text in texts]


class Crammer(TinyLearner):
    def __init__(self, recipe: Recipe, train: Sequence[Any], validation: Sequence[Any]) -> None:
        super().__init__(recipe, train, validation)
        self.seen = {example.text: example.label for example in train}

    def finish(self, calibration: dict[str, float] | None = None) -> TinyModel:
        model = ByHeart(self.labels, self.weight.detach())
        model.seen = self.seen
        return model


def test_what_was_learnt_from_is_not_what_scores_are_of() -> None:
    ones = {example.text: example for example in examples(200)}  # no text stands in both parts
    result = trained(Recipe(task="tc"), learner=Crammer, parts=([*ones.values()][12:], [*ones.values()][:12]))
    again = evaluate(result.model, [*ones.values()][:12])
    assert again.scores.main == 1.0, "the model has learnt from the validation part"
    assert result.scores["accuracy"] == 0.0


def test_all_rows_are_learnt_from_for_as_many_epochs_as_were_best() -> None:
    result = trained(Recipe(task="tc", epochs=50, patience=3), learner=Worsening)
    assert result.score == 0.9
    both = [*PARTS[0], *PARTS[1]]
    two = trained(Recipe(task="tc", epochs=2, refit=False), parts=(both, PARTS[1]))
    assert torch.equal(weight(result), weight(two))
    assert result.history[-1].epoch == 5 + 2


@pytest.mark.parametrize("stopped_at", [7, 30, 31, 50, 69])
def test_a_training_that_goes_on_from_either_fit_ends_as_one_that_was_never_stopped(
    tmp_path: Path, stopped_at: int
) -> None:
    recipe = Recipe(task="tc")
    told: list[Progress] = []
    with pytest.raises(Cancelled, match=f"stopped after {stopped_at} of 70 steps"):
        trained(recipe, checkpoints=tmp_path, report=told.append, stop=lambda: len(told) == stopped_at)
    result = trained(recipe, checkpoints=tmp_path, report=told.append)
    whole = trained(recipe)
    assert torch.equal(weight(result), weight(whole))
    assert (result.score, result.scores) == (whole.score, whole.scores)
    assert [progress.step for progress in told] == list(range(1, 71)), "no step was taken twice"
    assert told[-1].resumed_from == stopped_at
    assert [point.step for point in result.history] == [point.step for point in whole.history]


@pytest.mark.parametrize("stopped_at", [1, 6, 13, 29])
def test_a_training_that_goes_on_ends_as_one_that_was_never_stopped(tmp_path: Path, stopped_at: int) -> None:
    told: list[Progress] = []
    with pytest.raises(Cancelled, match=f"stopped after {stopped_at} of 30 steps"):
        trained(checkpoints=tmp_path, report=told.append, stop=lambda: len(told) == stopped_at)
    result = trained(checkpoints=tmp_path, report=told.append)
    whole = trained()
    assert torch.equal(weight(result), weight(whole))
    assert result.score == whole.score
    assert [progress.step for progress in told] == list(range(1, 31)), "no step was taken twice"
    assert told[-1].resumed_from == stopped_at
    assert [point.step for point in result.history] == [point.step for point in whole.history]


def test_checkpoints_are_made_as_time_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", 0.0)
    seen = []
    trained(checkpoints=tmp_path, report=lambda progress: seen.append((tmp_path / CHECKPOINT_FILE).exists()))
    assert seen == [False] + [True] * 29
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT_FILE]


class Worsening(TinyLearner):
    """Best after its second epoch, worse from then on."""

    validations = 0

    def validate(self) -> float:
        self.validations += 1
        return {1: 0.5, 2: 0.9}.get(self.validations, 0.6)


def test_with_patience_the_best_epoch_is_kept() -> None:
    after_two = trained(Recipe(task="tc", refit=False, epochs=2), learner=TinyLearner)
    result = trained(Recipe(task="tc", refit=False, patience=5), learner=Worsening)
    assert result.score == 0.9
    assert torch.equal(weight(result), weight(after_two))


def test_without_patience_the_last_epoch_is_kept() -> None:
    result = trained(learner=Worsening)
    assert result.score == 0.6
    assert torch.equal(weight(result), weight(trained()))


def test_early_stopping() -> None:
    result = trained(Recipe(task="tc", refit=False, epochs=50, patience=3), learner=Worsening)
    assert result.history[-1].epoch == 5
    assert result.score == 0.9


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    class Diverging(TinyLearner):
        def step(self, number: int) -> float:
            return math.nan if number == 3 else super().step(number)

    with pytest.raises(TrainingFailed, match=r"loss of step 3 is nan.*lower learning_rate than 2;"):
        trained(Recipe(task="tc", refit=False, learning_rate=2.0), learner=Diverging)


class Full(TinyLearner):
    """A device on which three examples fit."""

    def step(self, number: int) -> float:
        if self.batch_size > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().step(number)


def test_a_batch_that_does_not_fit_is_halved_and_told_of(tmp_path: Path) -> None:
    told: list[Progress] = []
    result = trained(learner=Full, report=told.append, checkpoints=tmp_path)
    assert (result.recipe.batch_size, result.recipe.accumulate) == (2, 4)
    assert told[0].note == "4 examples at once do not fit into the memory of cpu: now 2"


def test_what_did_not_fit_is_not_tried_again_when_a_training_goes_on(tmp_path: Path) -> None:
    told: list[Progress] = []
    with pytest.raises(Cancelled):
        trained(learner=Full, report=told.append, checkpoints=tmp_path, stop=lambda: len(told) == 10)
    result = trained(learner=Full, report=told.append, checkpoints=tmp_path)
    assert told[10].resumed_from == 10
    assert torch.equal(weight(result), weight(trained(learner=Full)))


def test_not_even_one_example_fits() -> None:
    class Fuller(TinyLearner):
        def step(self, number: int) -> float:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(DeviceOutOfMemory, match="not even one example fits into the memory of cpu"):
        trained(learner=Fuller)
