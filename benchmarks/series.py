"""Numbers of one kind, one a round: their middle, their spread, and their ratio to another kind of the same rounds."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Series:
    """At least one number, in the order of the rounds."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Series":
        if not values:
            raise ValueError("a series needs at least one number")
        return cls(tuple(values))

    @property
    def median(self) -> float:
        return median(self.values)

    def text(self, digits: int = 0) -> str:
        """The median, and the least and the greatest in brackets."""
        least, most = min(self.values), max(self.values)
        return f"{self.median:,.{digits}f} ({least:,.{digits}f} to {most:,.{digits}f})"

    def over(self, other: "Series") -> "Series":
        """The ratio round by round: what disturbs a round disturbs both its numbers."""
        return Series(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))


Work = Callable[[], Mapping[str, float]]
"""Does a piece of work once; returns what was measured, by unit."""


def interleaved(rounds: int, works: Mapping[str, Work], tell: Callable[[str], None]) -> dict[str, Series]:
    """Do every work once a round, each round beginning with another one.

    Returns:
        "work.unit" -> its numbers, one a round.
    """
    samples: defaultdict[str, list[float]] = defaultdict(list)
    names = list(works)
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        first = number % len(names)
        for name in names[first:] + names[:first]:
            for unit, value in works[name]().items():
                samples[f"{name}.{unit}"].append(value)
    return {key: Series.of(values) for key, values in samples.items()}
