"""What one load came to: rates, percentiles with intervals, failures by kind, and whether to believe it.

Made of samples alone, so that a kept file can be read again. Pure.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dure.bench.bootstrap import Estimate, estimate, mean_draws, percentile, percentile_draws
from dure.bench.load import OK, Samples
from dure.bench.load_watch import Generator, Watched, lateness, reasons
from dure.bench.steadiness import Course, course

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}

_NUM_SLICES = 60  # of a run, for the spread of the rate


@dataclass(frozen=True, slots=True)
class Asked:
    """One load.

    Args:
        mode: `open`: at random moments; `closed`: clients that wait for each answer.
        amount: Requests per second, or clients.
        duration_s: Length of the run, the warm-up before it not counted.
    """

    mode: Literal["open", "closed"]
    amount: float
    duration_s: float

    def __str__(self) -> str:
        return f"{self.amount:g} requests/s" if self.mode == "open" else f"{self.amount:g} clients"


@dataclass(frozen=True, slots=True)
class Point:
    """One load, measured; times in seconds.

    Args:
        asked: The load.
        num_requests: Requests after the warm-up.
        offered: Requests per second that were to be sent.
        answered: Answers per second.
        mean_s: Mean latency of the answered requests; `None` where there is none.
        latency_s: Percentiles of the same; `None` where too few requests lie beyond one.
        greatest_s: The longest.
        failures: Failed requests by kind.
        messages: The first message of each kind.
        course: Whether the latency stayed the same.
        generator: What the load generator needed.
        invalid: Why the figures say more of the load generator than of the service; empty where they do not.
        samples: Every request; those of the warm-up, which count for nothing above, were to be sent before 0 s.
    """

    asked: Asked
    num_requests: int
    offered: float
    answered: Estimate
    mean_s: Estimate | None
    latency_s: dict[str, Estimate | None]
    greatest_s: float | None
    failures: dict[str, int]
    messages: dict[str, str]
    course: Course
    generator: Generator
    invalid: list[str]
    samples: Samples

    @property
    def failed(self) -> float:
        """The share of the requests that failed."""
        return sum(self.failures.values()) / max(1, self.num_requests)


def told(asked: Asked, samples: Samples, watched: Watched, rng: np.random.Generator) -> Point:
    """Sum up one run.

    Args:
        asked: The load.
        samples: Every request, those of the warm-up before 0 s.
        watched: What was seen of the load generator.
        rng: Where chance comes from.
    """
    kept = _after_warm_up(samples)
    at, latency = latencies(samples)
    estimates = latency_estimates(latency, rng)
    generator = _generator(asked, kept, watched)
    plain = {name: found.value for name in ("p50", "p99") if (found := estimates[name]) is not None}
    return Point(
        asked,
        num_requests=len(kept.outcome),
        offered=len(kept.outcome) / asked.duration_s,
        answered=_rate(samples, asked.duration_s, rng),
        mean_s=estimate(float(latency.mean()), mean_draws(latency, rng)) if len(latency) else None,
        latency_s=estimates,
        greatest_s=float(latency.max()) if len(latency) else None,
        failures=dict(Counter(outcome for outcome in kept.outcome if outcome != OK)),
        messages=dict(kept.messages),
        course=course(at, latency, asked.duration_s, rng),
        generator=generator,
        invalid=reasons(generator, plain),
        samples=samples,
    )


def latency_estimates(latency_s: np.ndarray, rng: np.random.Generator) -> dict[str, Estimate | None]:
    """Return the percentiles of latencies in order of time, those that can be told."""
    values = {name: percentile(latency_s, share) for name, share in PERCENTILES.items()}
    if not len(latency_s):
        return dict.fromkeys(PERCENTILES)
    draws = percentile_draws(latency_s, list(PERCENTILES.values()), rng)
    return {
        name: None if value is None else estimate(value, draws[:, column])
        for column, (name, value) in enumerate(values.items())
    }


def latencies(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Return the moments and the latencies of the answered requests after the warm-up, `(requests,)`, in order."""
    intended, done = np.array(samples.intended_s), np.array(samples.done_s)
    rows = np.flatnonzero(_is_ok(samples) & (intended >= 0.0))
    rows = rows[np.argsort(intended[rows], kind="stable")]
    return intended[rows], (done - intended)[rows]


def slices(samples: Samples, duration_s: float) -> np.ndarray:
    """Return answers per second in short parts of a run, `(parts,)`; their mean is the rate of the whole.

    An answer counts when it came, also one to a request of the warm-up: as many are left over at the end.
    """
    done = np.array(samples.done_s)[_is_ok(samples)]
    counts = np.histogram(done[(done >= 0.0) & (done < duration_s)], _NUM_SLICES, (0.0, duration_s))[0]
    return counts * (_NUM_SLICES / duration_s)


def _is_ok(samples: Samples) -> np.ndarray:
    return np.array([one == OK for one in samples.outcome], dtype=bool)


def _rate(samples: Samples, duration_s: float, rng: np.random.Generator) -> Estimate:
    rates = slices(samples, duration_s)
    return estimate(float(rates.mean()), mean_draws(rates, rng))


def _after_warm_up(samples: Samples) -> Samples:
    rows = [row for row, at in enumerate(samples.intended_s) if at >= 0.0]
    outcome = [samples.outcome[row] for row in rows]
    return Samples(
        [samples.intended_s[row] for row in rows],
        [samples.taken_s[row] for row in rows],
        [samples.sent_s[row] for row in rows],
        [samples.done_s[row] for row in rows],
        outcome,
        {kind: message for kind, message in samples.messages.items() if kind in outcome},
    )


def _generator(asked: Asked, samples: Samples, watched: Watched) -> Generator:
    late = np.subtract(samples.taken_s, samples.intended_s) if asked.mode == "open" else []
    waits = zip(samples.taken_s, samples.sent_s, strict=True)
    num_held = sum(sent is None or sent > taken for taken, sent in waits)
    return Generator(watched.cpu_share, watched.loop_share, lateness(watched.lags_s), lateness(late), num_held)
