"""A learner: a model in training."""

from typing import TYPE_CHECKING, Protocol

from dure.learning.model import Model

if TYPE_CHECKING:
    import torch


class Learner(Protocol):
    """A model in training.

    Every step is a function of (state, seed, number of the step) alone, so that a training that was interrupted and
    resumed ends exactly as one that was not.

    Attributes:
        num_steps: Steps in all epochs.
        steps_per_epoch: Steps after which every example was seen once more.
        batch_size: Examples of one pass, as asked for or by default.
    """

    num_steps: int
    steps_per_epoch: int
    batch_size: int

    def step(self, number: int) -> float:
        """Take one step of the optimiser.

        Args:
            number: Which one, from 0.

        Returns:
            The mean loss of its examples.
        """
        ...

    def validate(self) -> float:
        """Return the task's score on the validation part: accuracy, or strict micro F1 of entities; 1 is perfect."""
        ...

    def state(self) -> "dict[str, torch.Tensor]":
        """Return all that `step` reads and writes: weights, the optimiser's memory, averages."""
        ...

    def restore(self, state: "dict[str, torch.Tensor]") -> None:
        """Go back to where `state` was taken."""
        ...

    def weights(self) -> "dict[str, torch.Tensor]":
        """Return what a validation score belongs to; it does not change when training goes on."""
        ...

    def set_weights(self, weights: "dict[str, torch.Tensor]") -> None:
        """Make these the model's weights: those of the epoch that is kept, at the end."""
        ...

    def calibrate(self) -> dict[str, float]:
        """Return the settings by which the scores of a model with these weights are probabilities.

        They are found on the validation part, and hold for a model that was trained alike on a little more.
        """
        ...

    def finish(self, calibration: dict[str, float] | None = None) -> Model:
        """Return the model.

        Args:
            calibration: What `calibrate` found, of this or another learner; None: it is found now.
        """
        ...
