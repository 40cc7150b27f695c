"""The texts that requests are made of: a file's lines, real sentences, or texts of mixed lengths.

Knows nothing of how they are sent.
"""

from itertools import chain, cycle, islice
from pathlib import Path

import numpy as np

from dure.dataset import corpus
from dure.errors import SpecError

NUM_REQUESTS = 1000
"""Different requests that are made before the load begins; they come round again."""

_NUM_SENTENCES = 1000


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file that are not empty.

    Raises:
        SpecError: There is none, or the file cannot be read as UTF-8.
    """
    try:
        found = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"texts: {path} cannot be read: {error}") from error
    if not found:
        raise SpecError(f"texts: {path} has no line that is not empty")
    return found


def sentences() -> list[str]:
    """Return real English sentences of 5 to 60 words.

    Raises:
        LookupError: This Python came without the sources of its library.
    """
    return corpus.read(_NUM_SENTENCES)


def mixed(texts: list[str], lengths: tuple[int, int], count: int, rng: np.random.Generator) -> list[str]:
    """Return texts made of the words of others, every length as likely as any other.

    Args:
        texts: Where words come from, at least one.
        lengths: Fewest words of a text, >= 1, and most.
        count: Number of texts.
        rng: Where chance comes from.

    Raises:
        SpecError: The lengths are not in order.
    """
    least, most = lengths
    if not 1 <= least <= most:
        raise SpecError(f"words: from {least} to {most} is no range of lengths; give 1 <= MIN <= MAX")
    words = cycle(chain.from_iterable(text.split() for text in texts))
    return [" ".join(islice(words, int(length))) for length in rng.integers(least, most, count, endpoint=True)]


def requests_of(texts: list[str], docs_per_request: int, rng: np.random.Generator) -> list[list[str]]:
    """Return requests of so many texts each, drawn at random; at most `NUM_REQUESTS`, and no text left out before that.

    Args:
        texts: At least one.
        docs_per_request: Texts of a request, >= 1.
        rng: Where chance comes from.
    """
    count = min(NUM_REQUESTS, max(1, -(-len(texts) // docs_per_request)))
    order = rng.permutation(len(texts))
    drawn = [texts[number] for number in islice(cycle(order.tolist()), count * docs_per_request)]
    return [drawn[at : at + docs_per_request] for at in range(0, len(drawn), docs_per_request)]
