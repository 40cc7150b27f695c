"""What is seen at each unit: the units round it, the word it is in, the words beside, its shape. As hashes.

A feature is a whole number of 64 bits, the same on every machine and in every process; a column of the table is one
kind of observation. All are computed at once for many texts; what lies beyond a text is a mark of its own, so that
texts do not see each other. A word is what stands between blanks. Does not know tags, models or which features count.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from dure.learning.units import BLANK, DIGIT, LOWER, SIGN, UPPER, Hashes, Ints, Units, joined_hash, scatter

_MARGIN = 4  # how far a feature looks to either side, in units or words
_BEYOND = np.uint64(1)  # stands for a place outside of the text
_RUNS = ((1, range(-2, 3)), (2, range(-2, 2)), (3, range(-3, 2)), (4, range(-3, 1)))  # length, where they begin


def unit_features(units: Units) -> Hashes:
    """Return the features of each unit, `(units, columns)`."""
    seen = _Sight(units)
    columns = [*seen.windows(), *seen.words(), *seen.affixes(), *seen.shapes()]
    return np.stack([joined_hash(column, np.uint64(number)) for number, column in enumerate(columns)], 1)


def naming_columns() -> list[int]:
    """Return the columns that name the unit or the word that it is in: what is not known of a name never seen."""
    covered = [distance <= 0 < distance + size for size, distances in _RUNS for distance in distances]
    return [*np.flatnonzero(covered).tolist(), *(len(covered) + column for column in _Sight.NAMING_WORDS)]


class _Line:
    """Hashes in a row, text after text, with a margin round each text, so that neighbours go by their distance."""

    def __init__(self, values: Hashes, rows: Ints) -> None:
        self.places = np.arange(len(values)) + _MARGIN * (rows + 1)
        last = rows[-1] if len(rows) else 0
        self.values = np.full(len(values) + _MARGIN * (last + 2), _BEYOND)
        self.values[self.places] = values

    def at(self, distance: int) -> Hashes:
        """What stands so far to the right of each place."""
        found: Hashes = self.values[self.places + distance]
        return found


class _Sight:
    """All that features are made of, for each unit."""

    NAMING_WORDS = range(5)  # the first columns of `words`

    def __init__(self, units: Units) -> None:
        self._units = units
        blank = units.kinds == BLANK
        self._before = np.where(units.starts > 0, blank[units.starts - 1], True)
        self._after = blank[units.ends]
        blanks = np.flatnonzero(blank)
        word = np.searchsorted(blanks, units.starts)
        # The word's first character and the one after its last; a line feed stands after every text.
        self._word_starts = np.where(word > 0, blanks[word - 1] + 1, 0)
        self._word_ends = blanks[word]
        self._first_units = np.flatnonzero(np.diff(word, prepend=-1))
        self._word = np.cumsum(np.diff(word, prepend=-1) != 0) - 1
        self._hash = units.folded(units.starts, units.ends)

    @cached_property
    def _line(self) -> _Line:
        return _Line(self._hash, self._units.rows)

    def windows(self) -> Iterator[Hashes]:
        """Runs of one to four units round the unit, with the blanks between them."""
        line = self._line
        spaced = _Line(scatter(self._hash + self._before.astype(np.uint64)), self._units.rows)
        runs = line.values
        for size, distances in _RUNS:
            if size > 1:
                runs = joined_hash(runs[:-1], spaced.values[size - 1 :])
            for distance in distances:
                yield runs[line.places + distance]

    def words(self) -> Iterator[Hashes]:
        """The unit's word, what of it stands before and behind the unit, and the words beside."""
        units, folded = self._units, self._units.folded
        starts, ends = self._word_starts, self._word_ends
        word, behind = folded(starts, ends), folded(units.ends, ends)
        yield units.plain(units.starts, units.ends)
        yield word
        yield folded(starts, units.ends)
        yield folded(units.starts, ends)
        yield joined_hash(self._hash, behind)
        yield behind
        first = self._first_units
        begins, stops, rows = starts[first], ends[first], units.rows[first]
        words = _Line(word[first], rows)
        for distance in (-1, 1):
            yield words.at(distance)[self._word]
        for length in (1, 2):
            tails = _Line(folded(np.maximum(begins, stops - length), stops), rows)
            heads = _Line(folded(begins, np.minimum(begins + length, stops)), rows)
            yield tails.at(0)[self._word]
            yield heads.at(0)[self._word]
            yield tails.at(-1)[self._word]

    def affixes(self) -> Iterator[Hashes]:
        """The first and last characters of a unit of several."""
        starts, ends = self._units.starts, self._units.ends
        for length in (2, 3, 4):
            for begins, stops in (
                (starts, np.minimum(starts + length, ends)),
                (np.maximum(starts, ends - length), ends),
            ):
                yield np.where(ends - starts > 1, self._units.folded(begins, stops), _BEYOND)

    def shapes(self) -> Iterator[Hashes]:
        """Kinds of characters, capitals and lengths, of the unit and of five in a row."""
        units = self._units
        kinds = units.kinds[units.starts].astype(np.int64)
        lengths = np.minimum(units.ends - units.starts, 6) * np.isin(kinds, (LOWER, UPPER, DIGIT))
        signs = np.where(kinds == SIGN, units.codes[units.starts] + np.int64(1), 0)
        coarse = ((kinds * 8 + self._capitals(kinds)) * 2 + self._before) * 2 + self._after
        fine = ((signs * 8 + lengths) * 256 + coarse).astype(np.uint64)
        yield fine
        yield joined_hash(fine, self._text_capitals())
        yield joined_hash(fine, self._line.at(-1))
        yield joined_hash(fine, self._line.at(1))
        line = _Line(scatter(coarse.astype(np.uint64)), units.rows)
        three = joined_hash(joined_hash(line.at(-1), line.at(0)), line.at(1))
        yield three
        yield joined_hash(joined_hash(line.at(-2), three), line.at(2))

    def _text_capitals(self) -> Hashes:
        """How many of its text's runs of letters begin with a capital, in eighths: where all do, one says little."""
        units = self._units
        kinds = units.kinds[units.starts]
        size = len(units.origins)
        capital = np.bincount(units.rows, kinds == UPPER, minlength=size)
        letters = np.bincount(units.rows, np.isin(kinds, (LOWER, UPPER)), minlength=size)
        return np.ceil(8 * capital / np.maximum(letters, 1)).astype(np.uint64)[units.rows]

    def _capitals(self, kinds: Ints) -> Ints:
        """0 none, 1 a single letter, 2 all, 3 the first only, 4 the first and others, 5 others only."""
        units = self._units
        sums = np.concatenate([[0], np.cumsum(units.kinds == UPPER)])
        capitals = sums[units.ends] - sums[units.starts]
        lengths = units.ends - units.starts
        mixed = np.where(kinds == UPPER, np.where(capitals == 1, 3, 4), 5)
        whole = np.where(lengths == 1, 1, 2)
        return np.where(capitals == 0, 0, np.where(capitals == lengths, whole, mixed))
