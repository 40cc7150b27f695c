"""Labelled and tagged texts out of files: the one door to all formats.

A format is what the caller says or what the name of the file says, never a guess from what is in it; the one thing that
is looked at is whether a file of tags begins with KLUE's `## `. Knows which reader is for which format.
"""

import os
from pathlib import Path
from typing import Literal

from dure.dataset.columns import Wanted
from dure.dataset.conll import read_conll
from dure.dataset.dataset import Dataset, Task, digest_of
from dure.dataset.encoding import decode
from dure.dataset.example import TaggedText
from dure.dataset.jsonlines import read_objects
from dure.dataset.klue import read_klue
from dure.dataset.parquet import read_parquet
from dure.dataset.problems import Problem
from dure.dataset.records import Record, labelled_rows, tagged_rows
from dure.dataset.rows import labelled, tagged
from dure.dataset.tables import read_table
from dure.errors import SpecError, ValidationError

Format = Literal["csv", "tsv", "tsv-quoted", "jsonl", "parquet", "conll", "klue"]

FORMATS: dict[Task, tuple[Format, ...]] = {
    "tc": ("csv", "tsv", "tsv-quoted", "jsonl", "parquet"),
    "ner": ("conll", "klue", "jsonl", "parquet"),
}
_ENDINGS: dict[Task, dict[str, Format]] = {
    "tc": {".csv": "csv", ".tsv": "tsv", ".txt": "tsv"},
    "ner": dict.fromkeys((".conll", ".bio", ".iob", ".iob2", ".tsv", ".txt", ".annotated"), "conll"),
}
_BOTH: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
_KLUE_BEGINS = "## "


def read_examples(
    path: str | os.PathLike[str],
    task: Task,
    *,
    format: Format | None = None,  # noqa: A002 - what it is called everywhere
    text_column: str | None = None,
    label_column: str | None = None,
    encoding: str | None = None,
) -> Dataset:
    """Read a file of labelled texts (`tc`) or of texts with entities (`ner`), and check every row.

    Args:
        path: The file.
        task: What the rows are for.
        format: One of `FORMATS[task]`; by default what the ending of the file's name says.
        text_column: The column of the text (or the tokens) by name, or by number from 1 in files without names.
        label_column: The column of the label (or the entities, or the tags), likewise.
        encoding: None is UTF-8; `cp949` allows that one as well; any other is taken at its word.

    Returns:
        Dataset: The rows that can be used, and what there is to tell of the others.

    Raises:
        SpecError: A format, a column or an encoding that there is not.
        ValidationError: A file that cannot be used: not of its encoding or format, no rows, labels that are missing.
    """
    name, path = str(path), Path(path)
    if task not in FORMATS:
        raise SpecError(f"task: {task!r} is not one of 'tc' (classify texts) and 'ner' (find named entities)")
    wanted = Wanted(text_column, label_column)
    chosen = _format(path, task, format)
    text, problems = ("", []) if chosen == "parquet" else decode(_bytes(path, name), name, encoding)
    records = _records(path, text, chosen, name)
    if task == "tc":
        rows, told = (labelled_rows(records, wanted, name), []) if records else read_table(text, name, chosen, wanted)
        labels, checked = labelled(rows, name)
        return Dataset(task, tuple(labels), (*problems, *told, *checked), digest_of(labels))
    sentences, told = tagged_rows(records, wanted, name) if records else _sentences(text, chosen, wanted, name)
    kept, checked = tagged(sentences, name)
    return Dataset(task, tuple(kept), (*problems, *told, *checked), digest_of(kept))


def _records(path: Path, text: str, chosen: Format, name: str) -> list[Record]:
    """Return the rows of a format that names its values, and none of the others."""
    if chosen not in ("jsonl", "parquet"):
        return []
    records = read_parquet(path) if chosen == "parquet" else read_objects(text, name)
    if not records:
        raise ValidationError(f"{name} is empty: no rows; there is nothing to learn or to evaluate")
    return records


def _sentences(text: str, chosen: Format, wanted: Wanted, name: str) -> tuple[list[TaggedText], list[Problem]]:
    if chosen == "klue" or text.startswith(_KLUE_BEGINS):
        return read_klue(text, name)
    columns = (_column(wanted.text, "text_column", 0), _column(wanted.label, "label_column", -1))
    return read_conll(text, name, *columns)


def _format(path: Path, task: Task, wanted: Format | None) -> Format:
    known = ", ".join(map(repr, FORMATS[task]))
    if wanted is not None:
        if wanted not in FORMATS[task]:
            raise SpecError(f"format: {wanted!r} is none for {task!r}; there are {known}")
        return wanted
    found = (_ENDINGS[task] | _BOTH).get(path.suffix.lower())
    if found is None:
        raise SpecError(f"format: the name of {path} does not say it (it ends in {path.suffix!r}); give one of {known}")
    return found


def _column(wanted: str | None, what: str, default: int) -> int:
    if wanted is None:
        return default
    try:
        number = int(wanted)
    except ValueError as error:
        raise SpecError(
            f"{what}: {wanted!r} is no number; columns of CoNLL files have no names, count from 1"
        ) from error
    return number - 1 if number > 0 else number


def _bytes(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValidationError(f"{name}: cannot be read: {error.strerror}") from error
