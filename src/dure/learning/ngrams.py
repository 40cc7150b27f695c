"""Texts as numbers: the n-grams of their characters, letters and words, each as a hash of 64 bits.

Knows text and whole arrays of it, no loop over n-grams; not which n-grams a model keeps, nor what they mean to it.
The same text gives the same numbers in every process, on every machine, alone or among others.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_CHARACTERS = 20_000
"""Of a longer text the beginning is read, in training and in prediction alike."""

CHUNK_CHARACTERS = 1 << 17
"""Characters that are turned into numbers at once, which bounds memory."""

Codes = NDArray[np.uint64]
Rows = NDArray[np.int64]
Hashes = NDArray[np.uint64]

_NO_ROWS, _NO_HASHES = np.empty(0, np.int64), np.empty(0, np.uint64)
_BETWEEN = 0  # stands between two texts
_BLANK = 32
_CHARACTERS = range(1, 5)
_UNSPACED = range(2, 5)
_LETTERS = range(5, 7)
_STEMS = range(1, 4)
_GAPS = (1, 2)
_SALTS = {"characters": 1, "unspaced": 2, "letters": 3, "words": 4, "stems": 5}
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SPREAD = np.uint64(0xD6E8FEB86659FD93)
_LAST = np.uint64(0xBF58476D1CE4E5B9)

# Hangul syllables and the letters they are made of, by arithmetic: The Unicode Standard, section 3.12.
_SYLLABLES, _NUM_SYLLABLES = 0xAC00, 11172
_LEADS, _VOWELS, _TAILS, _BEHIND_LETTERS = 0x1100, 0x1161, 0x11A7, 0x1200
_NUM_VOWELS_AND_TAILS, _NUM_TAILS = 588, 28


class Found(NamedTuple):
    """N-grams of some texts: which text each stands in, and its hash."""

    rows: Rows
    hashes: Hashes


def chunks(texts: Sequence[str]) -> Iterator[slice]:
    """Yield runs of texts that are short enough to be turned into numbers at once; together they are all texts."""
    start, size = 0, 0
    for at, text in enumerate(texts):
        length = min(len(text), MAX_CHARACTERS)
        if size and size + length > CHUNK_CHARACTERS:
            yield slice(start, at)
            start, size = at, 0
        size += length + 1
    if start < len(texts):
        yield slice(start, len(texts))


def ngrams(texts: Sequence[str]) -> Found:
    """Return all n-grams of some texts, each as often as it occurs."""
    written = "\0".join(map(_tidied, texts))
    codes = np.frombuffer(written.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    unspaced = codes[codes != _BLANK]
    letters = _letters(unspaced)
    is_letter = (letters >= _LEADS) & (letters < _BEHIND_LETTERS)
    found = [
        *_runs(codes, _CHARACTERS, _SALTS["characters"]),
        *_runs(unspaced, _UNSPACED, _SALTS["unspaced"]),
        *_runs(letters, _LETTERS, _SALTS["letters"], is_letter),  # of other scripts, they would be characters again
        *_words(codes),
    ]
    rows, hashes = [part.rows for part in found], [part.hashes for part in found]
    return Found(np.concatenate([_NO_ROWS, *rows]), _mixed(np.concatenate([_NO_HASHES, *hashes])))


def _tidied(text: str) -> str:
    text = unicodedata.normalize("NFC", text[:MAX_CHARACTERS]).lower().replace("\0", " ")
    return f" {' '.join(text.split())} "


def _letters(codes: Codes) -> Codes:
    """Return codes with every Hangul syllable as its two or three letters."""
    place = codes - np.uint64(_SYLLABLES)  # what stands before the syllables wraps round to behind them
    is_syllable = place < _NUM_SYLLABLES
    tails = place % _NUM_TAILS
    counts = np.where(is_syllable, 2 + (tails > 0), 1)
    starts = np.cumsum(counts) - counts
    letters = np.empty(int(counts.sum()), np.uint64)
    letters[starts] = np.where(is_syllable, _LEADS + place // _NUM_VOWELS_AND_TAILS, codes)
    letters[starts[is_syllable] + 1] = _VOWELS + place[is_syllable] % _NUM_VOWELS_AND_TAILS // _NUM_TAILS
    has_tail = counts == 3
    letters[starts[has_tail] + 2] = _TAILS + tails[has_tail]
    return letters


def _rows_of(codes: Codes) -> Rows:
    return np.cumsum(codes == _BETWEEN)


def _runs(codes: Codes, orders: range, salt: int, begins: NDArray[np.bool_] | None = None) -> Iterator[Found]:
    """Yield the runs of as many codes as `orders` says, within one text each, that begin where they may."""
    rows, spread = _rows_of(codes), (codes + np.uint64(1)) * _SPREAD
    is_text = codes != _BETWEEN if begins is None else begins
    hashes = np.full(len(codes), salt, np.uint64)
    for order in range(1, orders.stop):
        last = order - 1
        if len(codes) <= last:
            return
        hashes = _mixed(hashes[: len(codes) - last]) + spread[last:]
        if order >= orders.start:
            inside = is_text[: len(codes) - last] & (rows[: len(codes) - last] == rows[last:])
            yield Found(rows[: len(codes) - last][inside], hashes[inside])


def _words(codes: Codes) -> Iterator[Found]:
    """Yield words, and pairs of beginnings of words that stand near each other."""
    is_word = (codes != _BLANK) & (codes != _BETWEEN)
    starts = np.flatnonzero(is_word & ~np.concatenate([[False], is_word[:-1]]))
    if not len(starts):
        return
    positions, owners = np.flatnonzero(is_word), np.cumsum(np.isin(np.flatnonzero(is_word), starts)) - 1
    places = positions - starts[owners]
    rows = _rows_of(codes)[starts]
    firsts = np.flatnonzero(places == 0)
    powers = np.cumprod(np.full(places.max() + 1, _FACTOR))
    spread = (codes[positions] + np.uint64(1)) * powers[places]
    whole = np.add.reduceat(spread, firsts) + np.uint64(_SALTS["words"])
    yield Found(rows, whole)
    yield from _pairs(rows, whole, gap=1)
    for length in _STEMS:
        stems = np.add.reduceat(np.where(places < length, spread, 0), firsts)
        stems = _mixed(stems + np.uint64(_SALTS["stems"] + length))
        yield Found(rows, stems)
        for gap in _GAPS:
            yield from _pairs(rows, stems, gap)


def _pairs(rows: Rows, hashes: Hashes, gap: int) -> Iterator[Found]:
    together = rows[gap:] == rows[:-gap]
    pairs = _mixed(hashes[:-gap]) + _mixed(hashes[gap:] + np.uint64(gap))
    yield Found(rows[gap:][together], (pairs * _SPREAD)[together])


def _mixed(hashes: Hashes) -> Hashes:
    hashes = (hashes ^ (hashes >> np.uint64(29))) * _LAST
    return hashes ^ (hashes >> np.uint64(32))
