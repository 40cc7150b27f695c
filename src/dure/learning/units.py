"""Units of a text: what a tagger tags, with the characters that each one is.

A Hangul syllable, a jamo, a CJK character and a sign are units of their own, so that a particle can be cut off a name;
a run of other letters is one, and so is a run of digits. Blanks and control characters belong to none. Offsets are code
points. Also knows hashes of any stretch of characters. Does not know tags, features or models.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

BLANK, SYLLABLE, IDEOGRAPH, LOWER, UPPER, DIGIT, SIGN = range(7)
"""Kinds of characters."""

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

_RUNS = np.array([0, 0, 0, 1, 1, 2, 0])  # by kind: characters of one number above 0 make one unit while they last
_BMP = 0x10000
# Odd constants: of splitmix64, which mixes 64 bits well, and of a linear congruential generator, with its inverse.
_GOLDEN, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_POWER = 0x5851F42D4C957F2D
_INVERSE = pow(_POWER, -1, 2**64)


@dataclass(frozen=True)
class Units:
    """The units of some texts, one after the other.

    Args:
        codes: Code points of all texts, a line feed after each, `(characters,)`.
        origins: Where in `codes` each text begins, `(texts,)`.
        starts: Where in `codes` each unit begins, `(units,)`.
        ends: Where it ends, exclusive.
        rows: The number of the text that it is of, rising.
    """

    codes: NDArray[np.uint32]
    origins: Ints
    starts: Ints
    ends: Ints
    rows: Ints

    @property
    def offsets(self) -> tuple[Ints, Ints]:
        """First character of each unit and the one after its last, in code points of its own text."""
        origins = self.origins[self.rows]
        return self.starts - origins, self.ends - origins

    @property
    def bounds(self) -> Ints:
        """Where the units of each text begin, and where the last one's end, `(texts + 1,)`."""
        return np.searchsorted(self.rows, np.arange(len(self.origins) + 1))

    @cached_property
    def kinds(self) -> NDArray[np.uint8]:
        """The kind of each character."""
        return _tables()[0][np.minimum(self.codes, _BMP)]

    @cached_property
    def folded(self) -> "Stretches":
        """Characters without their case, and every digit as 0."""
        return Stretches(_tables()[1][np.minimum(self.codes, _BMP)] + np.where(self.codes < _BMP, 0, self.codes))

    @cached_property
    def plain(self) -> "Stretches":
        """Characters as they are."""
        return Stretches(self.codes)


class Stretches:
    """Hashes of any stretch of some values, each at the cost of one look-up.

    Args:
        values: Whole numbers from 0, `(length,)`.
    """

    def __init__(self, values: NDArray[np.unsignedinteger]) -> None:
        size = len(values) + 1
        self._powers = _powers(_POWER, size)
        sums = np.zeros(size, np.uint64)
        # The sum of value times inverse power, scaled by the power at the start, is the same wherever a stretch lies.
        np.cumsum(scatter(values.astype(np.uint64) + _GOLDEN) * _powers(_INVERSE, size)[1:], out=sums[1:])
        self._sums = sums

    def __call__(self, starts: Ints, ends: Ints) -> Hashes:
        """Return the hash of each stretch from a start to an end (exclusive)."""
        return scatter((self._sums[ends] - self._sums[starts]) * self._powers[starts])


def units_of(texts: Sequence[str]) -> Units:
    """Cut texts into units."""
    joined = "".join(f"{text}\n" for text in texts)
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    lengths = np.array([len(text) + 1 for text in texts], np.int64)
    origins = np.cumsum(lengths) - lengths
    kinds = _tables()[0][np.minimum(codes, _BMP)]
    runs = _RUNS[kinds]
    before = np.concatenate([[0], runs[:-1]]) if len(runs) else runs
    begins = (kinds != BLANK) & ((runs == 0) | (runs != before))
    starts = np.flatnonzero(begins)
    stops = np.flatnonzero(begins | (kinds == BLANK))
    ends = stops[np.searchsorted(stops, starts, side="right")]
    return Units(codes, origins, starts, ends, np.searchsorted(origins, starts, side="right") - 1)


def scatter(values: Hashes) -> Hashes:
    """Spread each value over all 64 bits (the end of splitmix64): the same on every machine and in every process."""
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))


def joined_hash(left: Hashes, right: Hashes | np.uint64) -> Hashes:
    """Return one hash of two, in this order."""
    return scatter(left * _GOLDEN + right + _SECOND)


def _powers(base: int, size: int) -> Hashes:
    powers = np.full(size, base, np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)


@cache
def _tables() -> tuple[NDArray[np.uint8], Hashes]:
    """Return each code point's kind and its folded form; the last place stands for all beyond the first plane."""
    kinds = np.full(_BMP + 1, SIGN, np.uint8)
    folded = np.arange(_BMP + 1, dtype=np.uint64)
    folded[_BMP] = 0
    for code in range(_BMP):
        character = chr(code)
        kinds[code] = _kind(code, character)
        lower = character.lower()
        if kinds[code] == DIGIT:
            folded[code] = ord("0")
        elif len(lower) == 1:
            folded[code] = ord(lower)
    return kinds, folded


def _kind(code: int, character: str) -> int:
    category = unicodedata.category(character)
    if character.isspace() or category in ("Cc", "Cf"):
        return BLANK
    if 0xAC00 <= code <= 0xD7A3 or 0x3130 <= code <= 0x318F:
        return SYLLABLE
    if category[0] in "LN" and (0x2E80 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF):
        return IDEOGRAPH
    if category in ("Lu", "Lt"):
        return UPPER
    if category[0] in "LM":
        return LOWER
    return DIGIT if category == "Nd" else SIGN
