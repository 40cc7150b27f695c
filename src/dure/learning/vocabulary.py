"""The n-grams that a model knows: hash to number, and texts as bags of such numbers.

Knows how often n-grams were seen in training; not what they stand for, nor how a model weighs them.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dure.learning.ngrams import Hashes, chunks, ngrams

_MAX_COUNTED = 1 << 24
"""Different n-grams that are counted at once; beyond it, those seen once so far are forgotten."""


class Bags(NamedTuple):
    """Texts as sets of numbers: text `i` has `ids[starts[i]:starts[i + 1]]`, ascending, none twice.

    Args:
        ids: Numbers in the vocabulary, `int32`.
        starts: `int64`, one more than there are texts.
    """

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> "Bags":
        """Return the bags of some texts, in the order asked for."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(self.starts[rows] - starts[:-1], lengths) + np.arange(starts[-1])
        return Bags(self.ids[places], starts)


class Vocabulary:
    """Hashes of n-grams, numbered in their order.

    Args:
        keys: The hashes, ascending, none twice.

    Raises:
        ValueError: They are not.
    """

    def __init__(self, keys: Hashes) -> None:
        if (keys[1:] <= keys[:-1]).any():
            raise ValueError("the hashes of the n-grams are not ascending")
        self.keys = keys
        bits = max(1, int(2 * len(keys)).bit_length())  # about one key in two places
        self._shift = np.uint64(64 - bits)
        places = np.arange((1 << bits) + 1, dtype=np.uint64)
        self._starts = np.searchsorted(keys >> self._shift, places).astype(np.int32)

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def of(cls, texts: Sequence[str], min_count: int, max_size: int) -> "tuple[Vocabulary, Bags]":
        """Return the n-grams that stand in at least `min_count` texts, the most frequent `max_size`, and the texts."""
        seen = cls(_seen_often(texts, min_count))
        bags = seen.bags(texts)
        counts = np.bincount(bags.ids, minlength=len(seen))
        kept = np.flatnonzero(counts >= min_count)
        if len(kept) > max_size:
            kept = np.sort(kept[np.argsort(-counts[kept], kind="stable")[:max_size]])
        renumbered = np.full(len(seen), -1, np.int32)
        renumbered[kept] = np.arange(len(kept))
        ids = renumbered[bags.ids]
        before = np.concatenate([[0], np.cumsum(ids >= 0)])
        return cls(seen.keys[kept]), Bags(ids[ids >= 0], before[bags.starts])

    def bags(self, texts: Sequence[str]) -> Bags:
        """Return the n-grams of every text that are known here."""
        parts = [self._bags(texts[chunk]) for chunk in chunks(texts)]
        lengths = [np.diff(part.starts) for part in parts]
        starts = np.concatenate([[0], *lengths]).cumsum().astype(np.int64)
        return Bags(np.concatenate([np.empty(0, np.int32), *(part.ids for part in parts)]), starts)

    def _bags(self, texts: Sequence[str]) -> Bags:
        rows, hashes = ngrams(texts)
        where, ids = self._known(hashes)
        size = max(1, len(self))
        pairs = np.sort(rows[where] * size + ids)  # by text, then by number
        if len(pairs):
            pairs = pairs[np.concatenate([[True], pairs[1:] != pairs[:-1]])]
        starts = np.searchsorted(pairs, np.arange(len(texts) + 1) * size)
        return Bags((pairs % size).astype(np.int32), starts.astype(np.int64))

    def _known(self, hashes: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which hashes are known, and their numbers."""
        places = (hashes >> self._shift).astype(np.int64)
        at, end = self._starts[places], self._starts[places + 1]
        open_ = np.flatnonzero(at < end)
        at, end, sought = at[open_], end[open_], hashes[open_]
        found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        while len(open_):
            equal = self.keys[at] == sought
            found.append((open_[equal], at[equal].astype(np.int64)))
            on = np.flatnonzero(~equal & (at + 1 < end))
            open_, at, end, sought = open_[on], at[on] + 1, end[on], sought[on]
        nothing = np.empty(0, np.int64)
        return (
            np.concatenate([nothing, *(where for where, _ in found)]),
            np.concatenate([nothing, *(ids for _, ids in found)]),
        )


def _seen_often(texts: Sequence[str], min_count: int) -> Hashes:
    """Return the hashes that occur at least `min_count` times, ascending."""
    keys, counts = np.empty(0, np.uint64), np.empty(0, np.int64)
    for hashes in _large_parts(texts):
        new_keys, new_counts = np.unique(hashes, return_counts=True)
        keys, places = np.unique(np.concatenate([keys, new_keys]), return_inverse=True)
        counts = np.bincount(places, np.concatenate([counts, new_counts]), minlength=len(keys)).astype(np.int64)
        if len(keys) > _MAX_COUNTED:
            keys, counts = keys[counts > 1], counts[counts > 1]
    return keys[counts >= min_count]


def _large_parts(texts: Sequence[str]) -> Iterator[Hashes]:
    waiting: list[Hashes] = []
    for chunk in chunks(texts):
        waiting.append(ngrams(texts[chunk]).hashes)
        if sum(map(len, waiting)) > _MAX_COUNTED // 2:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)
