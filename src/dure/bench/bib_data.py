"""What training and prediction are measured with: files that are named, or the data sets that every machine has."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from dure.bench.bib import BibSet
from dure.dataset.dataset import Dataset, Task, digest_of
from dure.dataset.reading import read_examples
from dure.dataset.samples import docstrings, sentences
from dure.dataset.split import split

if TYPE_CHECKING:
    from dure.dataset.example import LabelledText

_TRAIN_RATE = 0.8


def set_of_files(task: Task, train: Path, test: Path) -> BibSet:
    """Return a task on two files.

    Raises:
        ValidationError: One of them cannot be used.
    """
    return BibSet(name=train.stem, train=read_examples(train, task), test=read_examples(test, task))


def samples() -> list[BibSet]:
    """Return both tasks, on sentences of docstrings by their module and on sentences written for dure."""
    return [_sample("docstrings", docstrings()), _sample("sentences", sentences())]


def _sample(name: str, whole: Dataset) -> BibSet:
    train, test = split(cast("tuple[LabelledText, ...]", whole.examples), _TRAIN_RATE, 0)
    parts = [Dataset(whole.task, tuple(part), (), digest_of(part)) for part in (train, test)]
    return BibSet(name=name, train=parts[0], test=parts[1])
