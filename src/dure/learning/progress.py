"""How far a training is."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a training stands after a step.

    Args:
        step: Steps taken.
        num_steps: Steps in all epochs; early stopping may end before. Of those that learn from the validation part,
            too, it is an estimate until they begin.
        epoch: Epochs begun, from 1.
        loss: Mean loss of the examples of this step.
        score: Score on the validation part after this step, where an epoch ended with it.
        elapsed_time_s: Seconds of training so far, without those that an interruption took.
        resumed_from: The step at which this process took the training over; 0 where it began.
        note: What else is to be told: that the validation part is learnt from now, or what was done otherwise than
            asked for, and why.
    """

    step: int
    num_steps: int
    epoch: int
    loss: float
    score: float | None = None
    elapsed_time_s: float = 0.0
    resumed_from: int = 0
    note: str = ""

    @property
    def share(self) -> float:
        """Return the share of the steps that are done, 0 to 1."""
        return self.step / self.num_steps

    def as_dict(self) -> dict[str, Any]:
        """Return its values by name, `share` among them."""
        return {**asdict(self), "share": self.share}
