"""What a tagger does without in training, so that it leans on nothing alone.

Random numbers come from a generator of its own: what is dropped in a step depends on nothing that ran before. Does not
know what the values mean, but for features: those of a unit may be dropped as if its name had never been seen.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class DropoutRates:
    """How much is dropped in training.

    Args:
        features: Share of features.
        names: Share of units of which all features that name them are dropped at once, as if they had never been seen.
        values: Share of the values that the recurrent nets say; half as many are of units' vectors.
    """

    features: float
    names: float
    values: float


class Dropout:
    """Drops values in training by random numbers of its own, so that a step depends on nothing that ran before.

    Args:
        rates: How much.
        naming: Columns of the features that name a unit.
        generator: Where random numbers come from, on the network's device.
    """

    def __init__(self, rates: DropoutRates, naming: list[int], generator: torch.Generator) -> None:
        self._rates = rates
        self._naming = naming
        self._generator = generator

    def of_features(self, rows: Tensor) -> Tensor:
        """Return factors of features, `(units, columns)`, 0 where there is none."""
        kept = (rows > 0) * self._mask(rows, self._rates.features)
        unnamed = torch.rand(len(rows), 1, generator=self._generator, device=rows.device) < self._rates.names
        naming = torch.zeros(rows.shape[1], dtype=torch.bool, device=rows.device)
        naming[self._naming] = True
        return kept.masked_fill(unnamed & naming, 0)

    def of_units(self, seen: Tensor) -> Tensor:
        """Return the vectors of units with some of their values dropped."""
        return seen * self._mask(seen, self._rates.values / 2)

    def of_reading(self, read: Tensor) -> Tensor:
        """Return what recurrent nets say with some of its values dropped."""
        return read * self._mask(read, self._rates.values)

    def _mask(self, like: Tensor, rate: float) -> Tensor:
        drawn = torch.rand(like.shape, generator=self._generator, device=like.device)
        return (drawn >= rate).to(torch.float32) / (1 - rate)
