"""The rows of a part as documents, out of the files that they are in.

Goes on where it stopped, so that parts that are read in order are read once, however large the file's row groups are;
holds a part and a few pages of the file. A row without an id gets its number in the whole input. Writes nothing.
"""

import codecs
import itertools
import os
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from dure.bulk.part import Part, located
from dure.bulk.source import MARK_EVERY, Run, Source, SourceFile, check_unchanged
from dure.deps import require
from dure.document import arrow, plain
from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.document.merge import concatenate
from dure.errors import ValidationError

_BATCH_ROWS = 4096
_BUFFER_BYTES = 2**20


class Reader:
    """Reads parts.

    Args:
        source: The input.
        text: The column that holds the text; None if there is none.
    """

    def __init__(self, source: Source, text: str | None) -> None:
        self._source = source
        self._text = text
        self._cursor: _ParquetCursor | None = None

    def read(self, part: Part) -> DocumentArray:
        """Return the documents of a part.

        Raises:
            ValidationError: Rows that are no documents; says in which part.
        """
        at = part.start
        arrays: list[DocumentArray] = []
        try:
            for run in self._source.runs(part.start, part.stop):
                arrays.append(self._parquet(run, at) if run.file.is_parquet else _json_lines(run, at))
                at += run.num_rows
        except ValidationError as error:
            raise located(error, f"{part} cannot be read") from error
        return concatenate(arrays)

    def _parquet(self, run: Run, at: int) -> DocumentArray:
        if self._cursor is None or self._cursor.file != run.file:
            self.close()
            self._cursor = _ParquetCursor(run.file)
        count, columns = arrow.from_table(self._cursor.take(run), self._text)
        given = columns.get("id", [None] * count)
        columns["id"] = [str(at + i) if value is None else value for i, value in enumerate(given)]
        return DocumentArray.from_columns(count, columns)

    def close(self) -> None:
        """Close the file that is open."""
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None


class _ParquetCursor:
    """A place in one Parquet file, which moves forward as rows are taken."""

    def __init__(self, file: SourceFile) -> None:
        check_unchanged(file)
        self.file = file
        self._pa = require("pyarrow", "arrow")
        # Columns are read page by page: a row group may be as large as the file.
        self._parquet = require("pyarrow.parquet", "arrow").ParquetFile(
            file.path, pre_buffer=False, buffer_size=_BUFFER_BYTES
        )
        metadata = self._parquet.metadata
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._starts = [0, *itertools.accumulate(sizes)][:-1]
        self._go_to(0)

    def _go_to(self, group: int) -> None:
        groups = range(group, len(self._starts))
        self._at = self._starts[group]
        self._batches: Iterator[Any] = self._parquet.iter_batches(_BATCH_ROWS, row_groups=groups)
        self._rest: Any = None

    def take(self, run: Run) -> Any:
        """Return rows as a table.

        Raises:
            ValidationError: The file is damaged there.
        """
        wanted = bisect_right(self._starts, run.first) - 1
        if run.first < self._at or wanted > bisect_right(self._starts, self._at) - 1:
            self._go_to(wanted)
        try:
            self._skip(run.first - self._at)
            return self._pa.Table.from_batches(list(self._next(run.num_rows)), self._parquet.schema_arrow)
        except (self._pa.ArrowException, OSError) as error:
            raise ValidationError(f"{self.file.path} is damaged: {error}") from error

    def _skip(self, count: int) -> None:
        for _ in self._next(count):
            pass

    def _next(self, count: int) -> Iterator[Any]:
        while count:
            batch = next(self._batches) if self._rest is None else self._rest
            piece = batch.slice(0, count)
            self._rest = batch.slice(count) if batch.num_rows > count else None
            self._at += piece.num_rows
            count -= piece.num_rows
            if piece.num_rows:
                yield piece

    def close(self) -> None:
        self._parquet.close()


def _json_lines(run: Run, at: int) -> DocumentArray:
    check_unchanged(run.file)
    with open(run.file.path, "rb") as file:
        file.seek(run.file.marks[run.first // MARK_EVERY], os.SEEK_SET)
        lines = itertools.islice(file, run.first % MARK_EVERY, run.first % MARK_EVERY + run.num_rows)
        return DocumentArray(
            _document(line.removeprefix(codecs.BOM_UTF8), at + i, f"{run.file.path}, line {run.first + i + 1}")
            for i, line in enumerate(lines)
        )


def _document(line: bytes, row: int, at: str) -> Document:
    try:
        values = plain.from_json(line, at)
        if isinstance(values, dict):
            values = {"id": str(row), **values}
        return Document.from_dict(values, at=at)
    except RecursionError as error:
        raise ValidationError(f"{at}: documents are nested too deeply") from error
