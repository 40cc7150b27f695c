"""How far a figure of one run can be trusted: intervals by the bootstrap, over blocks of samples that hang together.

Waiting times follow one another: the request behind a slow one is slow, too. Resampling single samples would forget
that and give intervals that are far too narrow, so whole blocks are drawn. Knows numbers in their order, no more.
Source: Künsch, "The jackknife and the bootstrap for general stationary observations", Annals of Statistics 17 (1989).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

NUM_RESAMPLES = 1000
CONFIDENCE = 0.95
MIN_BEYOND = 5  # samples above a percentile, below which it says nothing
BLOCK_TIMES = 5.0  # correlation times to a block: what is lost at its ends is then a tenth

_MIN_BLOCKS = 20
_MAX_CELLS = 500_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, and the interval that holds the true one in 95 of 100 runs."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Estimate":
        """Return all three times `factor`, a positive number."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    def apart_from(self, other: "Estimate") -> bool:
        """Return whether the intervals share nothing."""
        return self.low > other.high or other.low > self.high


def percentile(values: np.ndarray, share: float) -> float | None:
    """Return the least value that `share` of the samples do not exceed; `None` with too few samples beyond it.

    Args:
        values: `(samples,)`, in any order.
        share: From 0 to 1.
    """
    if len(values) * min(share, 1.0 - share) < MIN_BEYOND:
        return None
    return float(np.quantile(values, share, method="inverted_cdf"))


def percentile_draws(
    values: np.ndarray, shares: Sequence[float], rng: np.random.Generator, length: int | None = None
) -> np.ndarray:
    """Return percentiles of resampled runs, `(NUM_RESAMPLES, shares)`.

    Args:
        values: `(samples,)` in order of time, at least one.
        shares: Each from 0 to 1.
        rng: Where chance comes from.
        length: Samples to a block, where they are not to say so themselves.
    """
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    found = []
    for counts in _drawn(len(values), length or block_length(values), rng):
        times = np.cumsum(counts[:, order], axis=1)
        found += [ascending[np.searchsorted(row, row[-1] * np.asarray(shares))] for row in times]
    return np.array(found)


def mean_draws(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return means of resampled runs, `(NUM_RESAMPLES,)`; arguments as for `percentile_draws`."""
    drawn = _drawn(len(values), block_length(values), rng)
    return np.concatenate([(counts @ values) / counts.sum(axis=1) for counts in drawn])


def estimate(value: float, draws: np.ndarray, confidence: float = CONFIDENCE) -> Estimate:
    """Return a figure with the interval in which its draws lie.

    Args:
        value: As measured.
        draws: `(draws,)`, the same figure of resampled runs.
        confidence: Share of the draws that the interval holds.
    """
    low, high = np.quantile(draws, [(1.0 - confidence) / 2, (1.0 + confidence) / 2])
    return Estimate(value, min(float(low), value), max(float(high), value))


def block_length(values: np.ndarray) -> int:
    """Return how many samples in a row hang together, and so are drawn as one."""
    wanted = math.ceil(BLOCK_TIMES * correlation_time(values)) if len(values) > _MIN_BLOCKS else 1
    return max(1, min(wanted, len(values) // _MIN_BLOCKS))


def correlation_time(values: np.ndarray) -> float:
    """Return after how many samples a sample is forgotten, 1.0 or more: the integrated autocorrelation of the ranks.

    Source: the window is that of Sokal, "Monte Carlo methods in statistical mechanics" (1996), with c = 5.
    """
    count = len(values)
    ranks = np.empty(count)
    ranks[np.argsort(values, kind="stable")] = np.arange(count)
    ranks -= ranks.mean()
    spectrum = np.fft.rfft(ranks, 2 * count)
    products = np.fft.irfft(spectrum * spectrum.conj())[:count]
    if products[0] <= 0.0:
        return 1.0
    times = 2.0 * np.cumsum(products / products[0]) - 1.0
    inside = np.arange(count) >= 5.0 * times
    window = int(np.argmax(inside)) if inside.any() else count - 1
    return max(1.0, float(times[window]))


def _drawn(count: int, length: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield how often each sample is drawn when blocks are, `(resamples, count)`, a part of the resamples at a time.

    Blocks begin anywhere and go on at the front.
    """
    num_blocks = -(-count // length)
    at_once = max(1, _MAX_CELLS // count)
    for first in range(0, NUM_RESAMPLES, at_once):
        num_rows = min(at_once, NUM_RESAMPLES - first)
        rows = 2 * count * np.arange(num_rows)[:, None]
        starts = (rng.integers(0, count, (num_rows, num_blocks)) + rows).ravel()
        size = 2 * count * num_rows
        steps = np.bincount(starts, minlength=size) - np.bincount(starts + length, minlength=size)
        times = np.cumsum(steps.reshape(num_rows, 2 * count), axis=1)
        yield times[:, :count] + times[:, count:]
