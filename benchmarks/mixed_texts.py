"""Texts of very different lengths: real words of Python's docstrings, a random number of them to a text."""

import random
import re

from dure.dataset import corpus

_WORD = re.compile(r"[a-z]{2,}")


def mixed(count: int, least: int, most: int, seed: int = 7) -> list[str]:
    """Return texts of `least` to `most` words, uniformly, the same ones for the same seed."""
    words = sorted({word for sentence in corpus.read(2000) for word in _WORD.findall(sentence)})
    chooser = random.Random(seed)
    return [" ".join(chooser.choices(words, k=chooser.randint(least, most))).capitalize() + "." for _ in range(count)]
