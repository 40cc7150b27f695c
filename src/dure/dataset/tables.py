"""Tables as text: `csv`, where quotes enclose cells and the line ends in them, and `tsv`, where a quote is a character.

Which of the two a file is, its reader is told; looking at the first lines would swallow rows of the other kind. Knows
rows and cells; does not know what a label is.
"""

import csv
from collections.abc import Iterator, Sequence

from dure.dataset.columns import Wanted, columns_of
from dure.dataset.encoding import lines_of
from dure.dataset.problems import Problem, told
from dure.dataset.rows import Row
from dure.errors import ValidationError

DELIMITERS = {"csv": ",", "tsv": "\t", "tsv-quoted": "\t"}

_MAX_CELL = 2**31 - 1
_QUOTED_SHARE = 0.5

Record = tuple[int, list[str]]
"""The line where a row begins, and its cells."""


def read_table(text: str, name: str, layout: str, wanted: Wanted) -> tuple[list[Row], list[Problem]]:
    """Return the rows of a table, and what was found of its columns.

    Args:
        text: The file.
        name: What it is called in errors.
        layout: `csv`, `tsv`, or `tsv-quoted` as spreadsheets write it.
        wanted: What the caller says of the columns.

    Raises:
        ValidationError: A row with another number of cells than the first, a quote that does not end, no columns for
            text and label; names the lines.
    """
    delimiter = DELIMITERS[layout]
    split = _plain if layout == "tsv" else _quoted
    records = [(line, cells) for line, cells in split(text, name, delimiter) if cells]
    if not records:
        raise ValidationError(f"{name} is empty: there is not even a line of column names")
    first = records[0][1]
    if len(first) == 1:
        raise ValidationError(f"{name}: line 1: one column; as {layout}, cells are separated by {_named(delimiter)}")
    _refuse_ragged(records, name, layout)
    columns = columns_of(first, [cells for _, cells in records[1:]], wanted, name)
    problems = list(columns.problems)
    body = records[1:] if columns.is_named else records
    rows = [
        Row(cells[columns.text], cells[columns.label], "" if columns.id is None else cells[columns.id].strip(), line)
        for line, cells in body
    ]
    if layout == "tsv" and sum(_is_enclosed(row.text) for row in rows) > _QUOTED_SHARE * len(rows):
        problems.append(Problem("most texts are enclosed in quotes", "kept; if they are not part of it: 'tsv-quoted'"))
    return rows, problems


def _plain(text: str, _name: str, delimiter: str) -> Iterator[Record]:
    for number, line in lines_of(text):
        yield number, line.split(delimiter) if line.strip() else []


def _quoted(text: str, name: str, delimiter: str) -> Iterator[Record]:
    # The csv module refuses cells over 128 KiB unless told otherwise; a page has more.
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))
    # Split here, not by splitlines: the latter also ends lines inside of texts.
    lines = (f"{line}\n" for line in text.removesuffix("\n").split("\n"))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    begin = 1
    try:
        for cells in reader:
            yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        raise ValidationError(
            f"{name}: line {begin:,}: {error}; where quotes enclose nothing, give format='tsv' or double them"
        ) from error


def _refuse_ragged(records: Sequence[Record], name: str, layout: str) -> None:
    width = len(records[0][1])
    ragged = [line for line, cells in records if len(cells) != width]
    if ragged:
        cells = next(cells for line, cells in records if line == ragged[0])
        hint = "quote cells that hold a comma" if layout == "csv" else "a text must not hold a tab"
        raise ValidationError(
            f"{name}: {told(ragged)}: {len(cells)} cells in the first of them, {width} in line 1; {hint}"
        )


def _is_enclosed(text: str) -> bool:
    return len(text) > 1 and text.startswith('"') and text.endswith('"')


def _named(delimiter: str) -> str:
    return "tabs" if delimiter == "\t" else "commas"
