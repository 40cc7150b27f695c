"""How often a piece of work is repeated, and what is told of the times that it took.

Pure but for the clock, which is passed in; knows nothing of devices.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from dure.bench.clock import Clock

Work = Callable[[], object]

_MAX_CALLS = 2**20


@dataclass(frozen=True, slots=True)
class Effort:
    """How much time measuring may take.

    Args:
        sample_s: A sample is as many calls as take about so long: far longer than reading the clock. 0: one call.
        point_s: Seconds for one point (one size on one device), warm-up not counted.
        min_samples: Fewest samples of a point, however long they take.
        max_samples: Most samples of a point.
        sweep_s: Seconds after which a sweep over sizes ends with the point in hand.
        sweep_call_s: A sweep over sizes ends when one call takes longer.
        max_bytes: Largest array that is made.
    """

    sample_s: float = 0.02
    point_s: float = 0.4
    min_samples: int = 5
    max_samples: int = 25
    sweep_s: float = 30.0
    sweep_call_s: float = 0.5
    max_bytes: int = 2**30


FULL = Effort()
QUICK = Effort(
    sample_s=0.001, point_s=0.02, min_samples=3, max_samples=5, sweep_s=1.0, sweep_call_s=0.05, max_bytes=2**22
)


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some samples, the least and the greatest."""

    median: float
    least: float
    greatest: float
    num_samples: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Sum up samples, at least one."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    def per_second(self, amount: float) -> "Spread":
        """Return what a rate is of which these are the seconds: `amount` in each of them."""
        return Spread(amount / self.median, amount / self.greatest, amount / self.least, self.num_samples)

    def scaled(self, factor: float) -> "Spread":
        """Return every figure times `factor`, a positive number."""
        return Spread(self.median * factor, self.least * factor, self.greatest * factor, self.num_samples)


def timed(work: Work, clock: Clock, num_calls: int = 1) -> float:
    """Return the seconds that so many calls take, one after the other, until the last is finished."""
    clock.settle()
    first = clock.mark()
    for _ in range(num_calls):
        work()
    return clock.between(first, clock.mark())


def warmed_up(work: Work, clock: Clock, effort: Effort) -> int:
    """Call until it is no longer new; return how many calls make a sample."""
    timed(work, clock)  # loads code, takes memory: no measure of what follows
    if not effort.sample_s:
        return 1
    num_calls = 1
    while True:
        seconds = timed(work, clock, num_calls)
        if seconds >= effort.sample_s or num_calls >= _MAX_CALLS:
            return num_calls
        needed = math.ceil(num_calls * effort.sample_s * 1.1 / max(seconds, 1e-9))
        num_calls = min(needed, num_calls * 16, _MAX_CALLS)  # a first estimate may be far off


def measured(work: Work, clock: Clock, effort: Effort) -> Spread:
    """Return the seconds of one call of `work`."""
    num_calls = warmed_up(work, clock, effort)
    seconds: list[float] = []
    while _goes_on(seconds, effort):
        seconds.append(timed(work, clock, num_calls))
    return Spread.of(seconds).scaled(1 / num_calls)


def compared(works: Mapping[str, Work], clock: Clock, effort: Effort) -> dict[str, list[float]]:
    """Measure works in turn, so that whatever else the machine does meets them all.

    Returns:
        The seconds of one call by name, round by round.
    """
    names = list(works)
    num_calls = {name: warmed_up(work, clock, effort) for name, work in works.items()}
    rounds: dict[str, list[float]] = {name: [] for name in names}
    spent: list[float] = []
    while _goes_on(spent, effort):
        at = len(spent) % len(names)
        for name in names[at:] + names[:at]:
            rounds[name].append(timed(works[name], clock, num_calls[name]) / num_calls[name])
        spent.append(sum(rounds[name][-1] * num_calls[name] for name in names) / len(names))
    return rounds


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Divide the rounds of one work by those of another, pair by pair."""
    return Spread.of([a / b for a, b in zip(above, below, strict=True)])


def _goes_on(seconds: Sequence[float], effort: Effort) -> bool:
    if len(seconds) < effort.min_samples:
        return True
    return len(seconds) < effort.max_samples and math.fsum(seconds) < effort.point_s
