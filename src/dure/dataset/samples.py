"""Data sets that every machine has, to try things with: no downloads, nobody's rights but Python's and our own."""

from importlib.resources import as_file, files

from dure.dataset import corpus
from dure.dataset.dataset import Dataset, digest_of
from dure.dataset.example import LabelledText
from dure.dataset.reading import read_examples


def docstrings() -> Dataset:
    """Return sentences of the standard library's docstrings, labelled by the package or module that they are of.

    Some thousand rows and some twenty labels; another Python has others.
    """
    rows = tuple(LabelledText(text, label) for text, label in corpus.labelled())
    return Dataset("tc", rows, (), digest_of(rows))


def sentences() -> Dataset:
    """Return sentences in English and Korean with persons, places, organisations and dates, written for dure."""
    with as_file(files("dure.dataset") / "sentences.jsonl") as path:
        return read_examples(path, "ner")
