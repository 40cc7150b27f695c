"""What a data set holds, in the shortest words."""

from dure.dataset.dataset import Dataset
from dure.dataset.example import LabelledText, TaggedText


def pairs(found: Dataset) -> list[tuple[str, str]]:
    return [(row.text, row.label) for row in found.examples if isinstance(row, LabelledText)]


def told(found: Dataset) -> list[str]:
    return [str(problem) for problem in found.problems]


def sentences(found: Dataset) -> list[tuple[str, list[tuple[str, str]]]]:
    rows = [row for row in found.examples if isinstance(row, TaggedText)]
    return [(row.text, [(row.text[span.start : span.end], span.type) for span in row.entities]) for row in rows]
