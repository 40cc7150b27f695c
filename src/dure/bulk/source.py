"""The input of a map: one file of rows or a folder of them, how many rows each has, and a digest to know it again.

A Parquet file is known by its footer, its size and when it was written; JSON lines, of which every line has to be
counted, by all of their bytes. No file is read whole into memory. Does not know what the rows mean.
"""

import hashlib
import os
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dure.deps import require
from dure.errors import ValidationError

PARQUET, JSON_LINES = ".parquet", ".jsonl"
MARK_EVERY = 1000
"""Rows of JSON lines from one known place in the file to the next."""
_FOOTER_END = 8  # the footer's length in 4 bytes, and PAR1


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file: where it is, how many rows it has, and what it is known by.

    `marks` are the places in bytes of every 1,000th row of JSON lines.
    """

    path: str
    num_rows: int
    size_bytes: int
    digest: str
    modified_ns: int = 0
    marks: list[int] = []

    @property
    def is_parquet(self) -> bool:
        """Whether it is Parquet; if not it is JSON lines."""
        return self.path.endswith(PARQUET)


class Run(NamedTuple):
    """Some rows of one file: `num_rows` of them from `first` on, counted from 0 in the file."""

    file: SourceFile
    first: int
    num_rows: int


class Source(msgspec.Struct, frozen=True):
    """All files of the input, in the order of their names."""

    files: list[SourceFile]

    @property
    def num_rows(self) -> int:
        """Rows of all files."""
        return sum(file.num_rows for file in self.files)

    def runs(self, start: int, stop: int) -> Iterator[Run]:
        """Yield where the rows `start` up to `stop` of the whole are."""
        ends = list(accumulate(file.num_rows for file in self.files))
        at = bisect_right(ends, start)
        while start < stop:
            first = start - (ends[at - 1] if at else 0)
            count = min(stop, ends[at]) - start
            if count:
                yield Run(self.files[at], first, count)
            start += count
            at += 1


def scan(path: str | os.PathLike[str]) -> Source:
    """Look at the input.

    Args:
        path: A `.parquet` or `.jsonl` file, or a folder of either.

    Raises:
        ValidationError: It is neither, or a file is damaged.
    """
    files = _files(Path(path))
    look = _parquet_file if files[0].suffix == PARQUET else _json_lines
    return Source([look(file.resolve()) for file in files])


def check_unchanged(file: SourceFile) -> None:
    """Refuse a file that is not the one that was looked at, or that is not there.

    Raises:
        ValidationError: It was written since, or this machine does not see it.
    """
    try:
        size = Path(file.path).stat().st_size
    except OSError as error:
        raise ValidationError(f"{file.path} cannot be read here: {error.strerror}") from error
    if size != file.size_bytes or (file.is_parquet and _footer_digest(Path(file.path)) != file.digest):
        raise ValidationError(f"{file.path} was written while it was being read; begin again with another folder")


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(one for one in path.iterdir() if not one.name.startswith(("_", ".")))
        inner = next((one for one in found if one.is_dir()), None)
        if inner is not None:
            raise ValidationError(f"{path}: there is a folder in it, {inner.name!r}; only its files are read")
    elif path.is_file():
        found = [path]
    else:
        raise ValidationError(f"there is no file or folder {str(path)!r} to read rows from")
    kinds = {file.suffix for file in found}
    if len(kinds) != 1 or not kinds <= {PARQUET, JSON_LINES}:
        held = ", ".join(sorted(kind or "files without a suffix" for kind in kinds)) or "nothing"
        raise ValidationError(f"{path}: rows are read from {PARQUET} or {JSON_LINES} files of one kind; found {held}")
    return found


def _parquet_file(path: Path) -> SourceFile:
    before = path.stat()
    digest = _footer_digest(path)
    metadata = parquet_metadata(path)
    return SourceFile(
        path=str(path),
        num_rows=metadata.num_rows,
        size_bytes=before.st_size,
        digest=digest,
        modified_ns=before.st_mtime_ns,
    )


def parquet_metadata(path: Path) -> Any:
    """Return what the footer of a Parquet file says.

    Raises:
        MissingDependency: pyarrow is not installed.
        ValidationError: It is no Parquet file, or is damaged.
    """
    pa, parquet = require("pyarrow", "arrow"), require("pyarrow.parquet", "arrow")
    try:
        return parquet.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise ValidationError(f"{path} is no Parquet file: {error}") from error


def _footer_digest(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _FOOTER_END))
        length = int.from_bytes(file.read(_FOOTER_END)[:4], "little")
        file.seek(max(0, size - _FOOTER_END - length))
        return f"footer sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _json_lines(path: Path) -> SourceFile:
    digest, marks = hashlib.sha256(), []
    num_rows = size = empty = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.isspace():
                empty = empty or number
            elif empty:
                raise ValidationError(f"{path}, line {empty}: empty, but more lines follow")
            else:
                if num_rows % MARK_EVERY == 0:
                    marks.append(size)
                num_rows += 1
            digest.update(line)
            size += len(line)
    return SourceFile(
        path=str(path), num_rows=num_rows, size_bytes=size, digest=f"sha256:{digest.hexdigest()}", marks=marks
    )
