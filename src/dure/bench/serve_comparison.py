"""Two kept runs held against each other: ratios with intervals, and whether there is a difference at all.

Reads the samples that `dure bench serve` has kept; measures nothing.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dure.bench.bootstrap import Estimate, estimate, mean_draws, percentile, percentile_draws
from dure.bench.load import Samples
from dure.bench.load_point import PERCENTILES, Asked, latencies, slices
from dure.bench.table import seconds, table, titled
from dure.errors import DecodeError

_SAME_RATE = 0.001
_MUST_AGREE = ("duration_s", "docs_per_request", "endpoint", "texts", "words", "body", "timeout_s", "max_connections")


@dataclass(frozen=True, slots=True)
class Kept:
    """A run that was kept in a file.

    Args:
        path: The file.
        about: What it was measured on.
        workload: What was asked for.
        loads: Samples by load.
        failures: Why it is not valid.
    """

    path: Path
    about: dict[str, Any]
    workload: dict[str, Any]
    loads: dict[Asked, Samples]
    failures: list[str]


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure of the second run over the same figure of the first.

    Args:
        asked: The load.
        figure: `answered`, `p50` or `p99`.
        first: In the first run, in 1/s or seconds.
        second: In the second.
        ratio: Second over first.
    """

    asked: Asked
    figure: str
    first: float
    second: float
    ratio: Estimate

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out 1."""
        return self.ratio.low > 1.0 or self.ratio.high < 1.0


def read(path: Path) -> Kept:
    """Read a file of `dure bench serve`.

    Raises:
        DecodeError: It is not one.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        loads = {Asked(**point["asked"]): Samples(**point["samples"]) for point in found["points"]}
        return Kept(path, found["about"], found["workload"], loads, found["failures"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DecodeError(f"{path} is not a file that `dure bench serve` wrote: {error!r}") from error


def compared(first: Kept, second: Kept, seed: int = 0) -> list[Ratio]:
    """Compare the loads that both runs have: rate of answers, p50 and p99."""
    rng = np.random.default_rng(seed)
    return [
        ratio
        for asked, samples in first.loads.items()
        if (other := _same(asked, second)) is not None
        for ratio in _ratios(asked, samples, other, rng)
    ]


def text_of(first: Kept, second: Kept, ratios: list[Ratio]) -> str:
    """Return a comparison as text."""
    rows = [
        [
            str(one.asked),
            one.figure,
            _told(one.figure, one.first),
            _told(one.figure, one.second),
            f"{one.ratio.value:.3f}",
            f"{one.ratio.low:.3f} … {one.ratio.high:.3f}",
            "differs" if one.differs else "no difference shown",
        ]
        for one in ratios
    ]
    heads = ("load", "figure", "A", "B", "B/A", "95 % interval", "")
    shown = table(heads, rows) if rows else "The runs have no load in common: give both the same --rate or --clients."
    alone = [f"only in {kept.path.name}: {asked}" for kept, asked in _alone(first, second)]
    return titled(
        "Two runs",
        *(f"{name}: {kept.path}, {_where(kept)}" for name, kept in (("A", first), ("B", second))),
        *_warnings(first, second),
        "",
        shown,
        "; ".join(alone),
        "The intervals hold what changes within a run. What changes between runs (another day, another start of the",
        "service) shows only in further runs: a difference that matters is there again when both are repeated.",
    )


def _ratios(asked: Asked, first: Samples, second: Samples, rng: np.random.Generator) -> list[Ratio]:
    rates = [slices(samples, asked.duration_s) for samples in (first, second)]
    found = []
    means = [float(values.mean()) for values in rates]
    if all(means):
        draws = [np.maximum(mean_draws(values, rng), 1e-9) for values in rates]
        found.append(Ratio(asked, "answered", means[0], means[1], estimate(means[1] / means[0], draws[1] / draws[0])))
    waits = [latencies(samples)[1] for samples in (first, second)]
    for name in ("p50", "p99"):
        values = [percentile(wait, PERCENTILES[name]) for wait in waits]
        if values[0] is not None and values[1] is not None:
            draws = [percentile_draws(wait, [PERCENTILES[name]], rng)[:, 0] for wait in waits]
            ratio = estimate(values[1] / values[0], draws[1] / draws[0])
            found.append(Ratio(asked, name, values[0], values[1], ratio))
    return found


def _same(asked: Asked, kept: Kept) -> Samples | None:
    for other, samples in kept.loads.items():
        alike = abs(other.amount - asked.amount) <= _SAME_RATE * asked.amount
        if other.mode == asked.mode and alike and other.duration_s == asked.duration_s:
            return samples
    return None


def _alone(first: Kept, second: Kept) -> list[tuple[Kept, Asked]]:
    pairs = ((first, second), (second, first))
    return [(one, asked) for one, other in pairs for asked in one.loads if _same(asked, other) is None]


def _warnings(first: Kept, second: Kept) -> list[str]:
    found = [f"{kept.path.name} is INVALID: {kept.failures[0]}" for kept in (first, second) if kept.failures]
    for name in _MUST_AGREE:
        one, other = first.workload.get(name), second.workload.get(name)
        if one != other:
            found.append(f"Not the same question: {name} is {one!r} in A and {other!r} in B.")
    machines = [f"{kept.about['cpu']}, {kept.about['cores']} cores" for kept in (first, second)]
    if machines[0] != machines[1]:
        found.append(f"Not the same machine: {machines[0]} in A and {machines[1]} in B.")
    return found


def _where(kept: Kept) -> str:
    return f"{kept.workload['target']}, dure {kept.about['commit']}, {kept.about['date']}"


def _told(figure: str, value: float) -> str:
    return f"{value:,.1f} /s" if figure == "answered" else seconds(value)
