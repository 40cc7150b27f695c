"""Whether a service did the same all through a run: windows of time, held against each other.

A queue that grows, a service that warms up or one that is disturbed makes one figure for the whole run meaningless.
Pure; knows moments and latencies.
"""

import math
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Literal

import numpy as np

from dure.bench.bootstrap import BLOCK_TIMES, Estimate, correlation_time, estimate, percentile_draws

Verdict = Literal["steady", "rising", "falling", "changing", "too few"]

NUM_WINDOWS = 5
TOLERANCE = 0.1  # medians of windows that differ by less are the same

_MIN_REQUESTS = 20  # of a window
_MIN_INDEPENDENT = 10  # of a window, in correlation times; with less, slow chance looks like change
_CONFIDENCE = 0.999  # ten pairs of windows are looked at
_GROWTH = 2.0  # of the median from the first window to the last, that only a growing queue explains
_TREND = 0.7  # rank correlation with time, above which the whole run is one slope


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a run.

    Args:
        start_s: Its beginning.
        num_answered: Requests that were to be sent in it, and were answered.
        p50: Their median latency in seconds, with a wide interval.
    """

    start_s: float
    num_answered: int
    p50: Estimate


@dataclass(frozen=True, slots=True)
class Course:
    """How a run went.

    Args:
        verdict: In a word.
        windows: Its parts; none where there is too little in one of them.
    """

    verdict: Verdict
    windows: list[Window]

    @property
    def queue_grows(self) -> bool:
        """Whether latency rises so much that a queue must be growing, not the machine a little slower."""
        return self.verdict == "rising" and self.windows[-1].p50.value > _GROWTH * self.windows[0].p50.value


def course(at_s: np.ndarray, latency_s: np.ndarray, duration_s: float, rng: np.random.Generator) -> Course:
    """Say whether any two windows differ by more than the tolerance and by more than chance, and in which direction.

    Args:
        at_s: `(requests,)`, the moments at which they were to be sent, ascending, from 0.
        latency_s: `(requests,)`, how long each took.
        duration_s: Length of the run.
        rng: Where chance comes from.
    """
    edges = np.linspace(0.0, duration_s, NUM_WINDOWS + 1)
    parts = [latency_s[low:high] for low, high in pairwise(np.searchsorted(at_s, edges).tolist())]
    if min(map(len, parts)) < _MIN_REQUESTS:
        return Course("too few", [])
    time = correlation_time(np.concatenate([part - np.median(part) for part in parts]))
    found = [
        Window(float(start), len(part), _median(part, time, rng)) for start, part in zip(edges, parts, strict=False)
    ]
    trend = _trend(latency_s)
    if abs(trend) > _TREND:
        return Course("rising" if trend > 0 else "falling", found)
    if min(map(len, parts)) < _MIN_INDEPENDENT * time:
        return Course("too few", found)
    return Course(_compared([window.p50 for window in found]), found)


def _compared(medians: list[Estimate]) -> Verdict:
    first, last = medians[0], medians[-1]
    if _differ(first, last):
        return "rising" if last.value > first.value else "falling"
    return "changing" if any(_differ(one, other) for one, other in combinations(medians, 2)) else "steady"


def _median(latency_s: np.ndarray, time: float, rng: np.random.Generator) -> Estimate:
    length = max(1, min(math.ceil(BLOCK_TIMES * time), len(latency_s) // 4))
    draws = percentile_draws(latency_s, [0.5], rng, length)[:, 0]
    return estimate(float(np.median(latency_s)), draws, _CONFIDENCE)


def _trend(values: np.ndarray) -> float:
    """Return the rank correlation with the order, from -1 to 1; 0 where all are the same."""
    if np.ptp(values) == 0.0:
        return 0.0
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return float(np.corrcoef(ranks, np.arange(len(values)))[0, 1])


def _differ(one: Estimate, other: Estimate) -> bool:
    low, high = sorted((one.value, other.value))
    return high > low * (1.0 + TOLERANCE) and one.apart_from(other)
