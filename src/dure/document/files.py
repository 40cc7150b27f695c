"""Documents in text files: JSON lines and CSV, read one by one, written whole or not at all.

A format is told, never guessed: bytes that are not of the encoding named, and rows that do not fit
the header, are errors with their line. Knows nothing of arrays of documents.
"""

import base64
import codecs
import contextlib
import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

from dure.document import plain
from dure.document.document import FIELDS, TEXTS, Document
from dure.document.headers import PathLike, fields_of, with_tags
from dure.errors import ValidationError

T = TypeVar("T")

_MAX_CELL = 2**31 - 1


def read_jsonl(path: PathLike, *, encoding: str = "utf-8") -> Iterator[Document]:
    """Yield a Document per line of a JSON-lines file, which may be larger than memory.

    Args:
        path: A file of JSON objects, each with fields of a Document, as `to_jsonl` writes them.
        encoding: How its bytes are to be read; a UTF-8 byte order mark is skipped.

    Raises:
        ValidationError: A line is not in the encoding, not JSON or not a Document; names the line.
    """
    lines = ((number, line.strip()) for number, line in _lines(path, encoding))
    for number, line in _refuse_gaps(path, lines):
        yield Document.from_json(line, at=f"{path}, line {number}")


def write_jsonl(path: PathLike, documents: Iterable[Document]) -> None:
    """Write a Document per line as JSON in UTF-8. The file appears when it is complete.

    Raises:
        ValidationError: A document that JSON cannot hold; then nothing is written.
    """
    with replacing(path) as file:
        for document in documents:
            file.write(document.to_json().encode() + b"\n")


def read_csv(
    path: PathLike,
    *,
    text: str | None = "text",
    names: Sequence[str] | None = None,
    delimiter: str = ",",
    quoted: bool = True,
    encoding: str = "utf-8",
) -> Iterator[Document]:
    r"""Yield a Document per row of a CSV file, which may be larger than memory.

    A column named as a field of Document is that field: text as it stands, `blob` in base64, others
    as JSON; an empty cell leaves it unset. Every other column becomes a tag of that name, as text.

    Args:
        path: The file.
        text: Column that holds the text; None if the file has none.
        names: Column names, for a file without a header line.
        delimiter: What stands between cells, for example "\t".
        quoted: Whether quotes enclose cells (and line ends in them); if not, quotes are text.
        encoding: How its bytes are to be read; a UTF-8 byte order mark is skipped.

    Raises:
        ValidationError: Bytes that are not of the encoding, a row with another number of cells than
            columns, a cell that does not fit its field, or no column `text`; names the line.
    """
    lines = _lines(path, encoding)
    split = _quoted_records if quoted else _plain_records
    records = _refuse_gaps(path, split(path, lines, delimiter))
    if names is None:
        _, names = next(records, (0, None))
        if names is None:
            raise ValidationError(f"{path} is empty: there is not even a line of column names")
    columns = list(zip(names, fields_of(path, names, text), strict=True))
    for number, cells in records:
        at = f"{path}, line {number}"
        if len(cells) != len(columns):
            raise ValidationError(f"{at}: {len(cells)} cells for {len(columns)} columns ({', '.join(names)})")
        yield _document(at, columns, cells)


def write_csv(path: PathLike, documents: Sequence[Document], *, delimiter: str = ",", encoding: str = "utf-8") -> None:
    """Write a row per Document, so that `read_csv` makes equal ones of it.

    There is a column for the id, the text and every field that some document has set. As RFC 4180
    has it, rows end in CRLF and cells are quoted where needed.

    Raises:
        ValidationError: A document that JSON or the encoding cannot hold; then nothing is written.
    """
    _is_utf8(encoding)
    used = {"id", "text"}.union(*(vars(document) for document in documents))
    names = [name for name in FIELDS if name in used]
    with replacing(path) as file:
        rows = csv.writer(_Encoded(file, encoding), delimiter=delimiter)
        rows.writerow(names)
        for document in documents:
            fields = document.to_dict()
            cells = [_cell(name, fields[name]) if name in fields else "" for name in names]
            try:
                rows.writerow(cells)
            except UnicodeError as error:
                raise ValidationError(f"document {document.id!r:.60}: {error}") from error


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[IO[bytes]]:
    """Give a file to write into, that takes the place of `path` when the block ends without error.

    Raises:
        ValidationError: There is something at `path` that is not a file.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise ValidationError(f"{path} is not a file, and is not replaced by one")
    fresh = target.with_name(f".{os.urandom(8).hex()}.tmp")
    try:
        with fresh.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            fresh.chmod(target.stat().st_mode & 0o7777)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


class _Encoded:
    """What csv.writer writes to: text in, bytes of the encoding out."""

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        self._file = file
        self._encoder = codecs.getincrementalencoder(encoding)()  # one byte order mark, if any

    def write(self, row: str) -> int:
        return self._file.write(self._encoder.encode(row))


def _lines(path: PathLike, encoding: str) -> Iterator[tuple[int, str]]:
    """Yield each line with its number. Lines end at a line feed only: other breaks are text."""
    is_utf8 = _is_utf8(encoding)
    with Path(path).open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                line = raw.decode("utf-8" if is_utf8 else encoding)
            except UnicodeDecodeError as error:
                raise ValidationError(f"{path}, line {number}: {_undecoded(raw, error)}") from error
            if number == 1 and is_utf8:
                line = line.removeprefix("\ufeff")
            yield number, line


def _is_utf8(encoding: str) -> bool:
    """Tell UTF-8, with or without byte order mark, from other encodings that have lines.

    Raises:
        ValidationError: An encoding in which a line feed is not one byte.
    """
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig"):
        return True
    if "\n".encode(encoding) != b"\n":
        raise ValidationError(f"files in {encoding} have no lines of bytes; convert to UTF-8")
    return False


def _undecoded(raw: bytes, error: UnicodeDecodeError) -> str:
    hint = ""
    if error.encoding == "utf-8":
        with contextlib.suppress(UnicodeDecodeError):
            hint = f" It can be read with encoding='cp949': {raw.decode('cp949').strip():.40}"
    return f"not {error.encoding}: byte {raw[error.start]:#04x} at {error.start}.{hint}"


def _refuse_gaps(path: PathLike, records: Iterator[tuple[int, T]]) -> Iterator[tuple[int, T]]:
    """Leave out empty lines at the end; others may be documents that somebody lost."""
    empty = 0
    for number, record in records:
        if not record:
            empty = empty or number
        elif empty:
            raise ValidationError(f"{path}, line {empty}: empty, but more lines follow")
        else:
            yield number, record


def _quoted_records(
    path: PathLike, lines: Iterator[tuple[int, str]], delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each record, with the number of the line where it begins."""
    # The csv module refuses cells over 128 KiB unless told otherwise; a page or a tensor has more.
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))
    reader = csv.reader((line for _, line in lines), delimiter=delimiter, strict=True)
    begin = 1
    try:
        for cells in reader:
            yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        raise ValidationError(f"{path}, line {begin}: {error}") from error


def _plain_records(
    _path: PathLike, lines: Iterator[tuple[int, str]], delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    for number, line in lines:
        text = line.removesuffix("\n").removesuffix("\r")
        yield number, text.split(delimiter) if text else []


def _document(at: str, columns: list[tuple[str, str | None]], cells: list[str]) -> Document:
    values: dict[str, Any] = {}
    tags: dict[str, Any] = {}
    for (name, field), cell in zip(columns, cells, strict=True):
        if field is None:
            tags[name] = cell
        elif cell:
            is_json = field not in TEXTS and field != "blob"
            values[field] = plain.from_json(cell, f"{at}, column {name!r}") if is_json else cell
    document = Document.from_dict(values, at=at)
    if tags:
        document.tags = with_tags(document.tags, tags, at)
    return document


def _cell(name: str, value: Any) -> str:
    if name in TEXTS:
        return str(value)
    if name == "blob":
        return base64.b64encode(value).decode()
    return plain.to_json(value, name)
