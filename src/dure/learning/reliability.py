"""Whether a model's scores are probabilities: how often it is right where it says how sure it is.

Knows scores and what came true; nothing of models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

NUM_BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Predictions whose scores are about the same.

    Args:
        count: How many there are.
        mean_score: What the model says of them, on average, 0 to 1.
        accuracy: The share of them that is right.
    """

    count: int
    mean_score: float
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """How far scores are from what comes true.

    Args:
        bins: From the least sure predictions to the surest; bins without predictions are left out.
        error: Expected calibration error: the mean distance of score and accuracy over all predictions, 0 to 1.
    """

    bins: tuple[Bin, ...]
    error: float


def reliability(scores: Sequence[float], right: Sequence[bool]) -> Reliability:
    """Sort predictions into bins of equal width by their scores.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks".

    Args:
        scores: What the model said, 0 to 1.
        right: Whether it was so.
    """
    members: dict[int, list[tuple[float, bool]]] = {}
    for score, is_right in zip(scores, right, strict=True):
        members.setdefault(min(int(score * NUM_BINS), NUM_BINS - 1), []).append((score, is_right))
    bins = tuple(_bin(members[number]) for number in sorted(members))
    distance = sum(one.count * abs(one.mean_score - one.accuracy) for one in bins)
    return Reliability(bins=bins, error=distance / len(scores) if scores else 0.0)


def _bin(members: Sequence[tuple[float, bool]]) -> Bin:
    count = len(members)
    return Bin(
        count=count,
        mean_score=sum(score for score, _ in members) / count,
        accuracy=sum(right for _, right in members) / count,
    )
