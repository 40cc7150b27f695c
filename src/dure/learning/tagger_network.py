"""The network of the tagger: features of units in, log weights of their tags out.

A unit is the sum of the rows of its features; pairs of recurrent nets read the units, one from each end, each over
sequences that begin at time 0, so that padding stands behind all that counts and is never seen; a conditional random
field scores the paths. Knows which features have a row. Does not know texts.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from dure.learning.crf import Crf
from dure.learning.dropout import Dropout
from dure.learning.units import Hashes

BITS = 22
"""Features are told apart by this many bits of their hash."""


class KnownFeatures:
    """Which features have a row of the table: those seen often enough in training. Row 0 stands for all others.

    Args:
        marks: Eight features a byte, of `2 ** BITS`.
    """

    def __init__(self, marks: NDArray[np.uint8]) -> None:
        self.marks = marks
        known = np.unpackbits(marks)
        self.num_rows = 1 + int(known.sum())
        self._rows = np.where(known, np.cumsum(known, dtype=np.int32), 0).astype(np.int32)

    @classmethod
    def counted(cls, counts: NDArray[np.integer], min_count: int) -> Self:
        """Know the features that occur in at least so many texts."""
        return cls(np.packbits(counts >= min_count))

    def rows(self, features: Hashes) -> NDArray[np.int32]:
        """Return the row of each feature, in the features' shape."""
        return self._rows[places(features)]


def places(features: Hashes) -> NDArray[np.int64]:
    """Return the place of each feature among `2 ** BITS`."""
    return (features >> np.uint64(64 - BITS)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the units of a batch of sequences stand in a grid of times and sequences.

    Args:
        lengths: Units of each sequence, `(batch,)`, each at least 1.
        sequence: The sequence of each unit, `(units,)`.
        time: Its place from the left.
        time_from_right: Its place from the right.
    """

    lengths: Tensor
    sequence: Tensor
    time: Tensor
    time_from_right: Tensor

    @classmethod
    def of(cls, lengths: Tensor) -> Self:
        """Lay out sequences that stand one after the other."""
        sequence = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
        first = torch.cumsum(lengths, 0) - lengths
        time = torch.arange(len(sequence), device=lengths.device) - first[sequence]
        return cls(lengths, sequence, time, lengths[sequence] - 1 - time)

    def grid(self, values: Tensor, time: Tensor) -> Tensor:
        """Put the values of units, `(units, dim)`, into a grid `(time, batch, dim)` of zeros."""
        empty = values.new_zeros(int(self.lengths.max()), len(self.lengths), values.shape[1])
        return empty.index_put((time, self.sequence), values)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a network is.

    Args:
        rows: Rows of the table of features.
        columns: Features of a unit.
        readers: Pairs of recurrent nets, each with a table of its own, whose mean is what counts.
        dim: Values of a row, for one reader.
        hidden: Values that each recurrent net keeps.
        num_types: Types of entities.
    """

    rows: int
    columns: int
    readers: int
    dim: int
    hidden: int
    num_types: int


class TaggerNetwork(nn.Module):
    """Log weights of tags, unit by unit.

    Args:
        sizes: How large it is.
    """

    table: Tensor

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        # Not a Parameter that an optimiser walks over: a step touches few of its rows.
        self.register_buffer("table", torch.zeros(sizes.readers, sizes.rows, sizes.dim))
        self.readers = nn.ModuleList(Reader(sizes) for _ in range(sizes.readers))
        self.crf = Crf(sizes.num_types)

    def forward(self, rows: Tensor, table: Tensor, layout: Layout, dropout: Dropout | None = None) -> Tensor:
        """Return log weights (time, batch, tags): the mean of what the readers say, or in training each one's.

        In training there are as many times more sequences as there are readers: all those of one, then of the next.

        Args:
            rows: Rows of `table` for each unit, `(units, columns)` int; row 0 is nothing.
            table: The whole table, or the part of it that a batch needs, `(readers, rows, dim)`, with zeros in row 0.
            layout: Which units make a sequence.
            dropout: Given in training.
        """
        said = [reader(rows, part, layout, dropout) for reader, part in zip(self.readers, table, strict=True)]
        return torch.stack(said).mean(0) if dropout is None else torch.cat(said, 1)


class Reader(nn.Module):
    """Reads units from both ends.

    Args:
        sizes: How large it is.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self._scale = 3 / sizes.columns**0.5
        self.forwards = nn.LSTM(sizes.dim, sizes.hidden)
        self.backwards = nn.LSTM(sizes.dim, sizes.hidden)
        self.out = nn.Linear(2 * sizes.hidden + sizes.dim, 1 + 2 * sizes.num_types)

    def forward(self, rows: Tensor, table: Tensor, layout: Layout, dropout: Dropout | None) -> Tensor:
        """Return log weights (time, batch, tags)."""
        weights = None
        if dropout is not None:
            weights = dropout.of_features(rows)
        seen = self._scale * functional.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)
        if dropout is not None:
            seen = dropout.of_units(seen)
        left = self.forwards(layout.grid(seen, layout.time))[0][layout.time, layout.sequence]
        right = self.backwards(layout.grid(seen, layout.time_from_right))[0][layout.time_from_right, layout.sequence]
        read = torch.cat([left, right], 1)
        if dropout is not None:
            read = dropout.of_reading(read)
        return layout.grid(self.out(torch.cat([read, seen], 1)), layout.time)
