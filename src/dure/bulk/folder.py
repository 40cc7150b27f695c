"""The output of a map: a folder with a Parquet file for each part, each of which is there whole or not at all.

Held by one run at a time. Removes what killed runs left. Does not know where the rows come from.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dure.bulk.manifest import MANIFEST, Manifest, read_manifest
from dure.bulk.part import Part, Parts
from dure.bulk.source import parquet_metadata
from dure.document.array import DocumentArray
from dure.errors import BackendError, SpecError, ValidationError
from dure.log import get_logger

_LOCK = ".map.lock"
_LEFT_OVER = re.compile(r"\.[0-9a-f]{16}\.tmp|\.part-[0-9]+\.begun")  # the first as document/files.py names them


class OutputFolder:
    """The files of parts.

    Args:
        path: The folder.
        parts: Which parts there are to be.
    """

    def __init__(self, path: Path, parts: Parts) -> None:
        self.path = path
        self._parts = parts

    def file(self, part: Part) -> Path:
        """Return where a part's file is, or will be."""
        return self.path / self._parts.file_name(part.number)

    def missing(self) -> list[Part]:
        """Return the parts that are not there yet, in order."""
        there = {name for name in os.listdir(self.path) if name.startswith("part-")}
        return [part for part in self._parts.every() if self._parts.file_name(part.number) not in there]

    def begin(self, part: Part) -> int:
        """Note that somebody begins a part; return how many have in this run, whatever became of them."""
        with (self.path / f".part-{part.number}.begun").open("ab") as file:
            file.write(b".")
            return file.tell()

    def write(self, part: Part, documents: DocumentArray) -> None:
        """Write a part; it appears by one rename.

        Raises:
            ValidationError: Values that do not fit into a table.
            BackendError: The disk does not take it.
        """
        try:
            documents.to_parquet(self.file(part))
            (self.path / f".part-{part.number}.begun").unlink(missing_ok=True)
        except OSError as error:
            raise BackendError(f"{self.file(part)} cannot be written: {error.strerror or error}") from error

    def verify(self) -> None:
        """Look whether every part is there, with as many rows as it is to have.

        Raises:
            ValidationError: One is not; says which, and what to do.
        """
        missing = self.missing()
        if missing:
            raise ValidationError(f"{self.path}: {missing[0]} and {len(missing) - 1} more are not there; run it again")
        columns: dict[str, Part] = {}
        for part in self._parts.every():
            footer = parquet_metadata(self.file(part))
            columns.setdefault(_columns(footer), part)
            if footer.num_rows != part.num_rows:
                raise ValidationError(
                    f"{self.file(part)} has {footer.num_rows:,} rows, not the {part.num_rows:,} of {part}; remove it,"
                    " and run the same command again"
                )
        if len(columns) > 1:
            told = "; ".join(f"{self._parts.file_name(part.number)} has {names}" for names, part in columns.items())
            get_logger("map").warning(
                "parts differ in their columns, since a column in which no row of a part has a value is not written:"
                " %s. Tell who reads the folder as one table which columns there are",
                told,
            )

    def sweep(self) -> None:
        """Remove what runs left that were killed while they wrote."""
        for name in os.listdir(self.path):
            if _LEFT_OVER.fullmatch(name):
                (self.path / name).unlink(missing_ok=True)


def _columns(footer: Any) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in footer.schema.to_arrow_schema())


@contextlib.contextmanager
def claimed(path: Path, manifest: Manifest) -> Iterator[OutputFolder]:
    """Give the folder to this run alone: a new one, or one whose manifest says the same.

    Raises:
        SpecError: It was asked for something else there, or there are other files, or another run is at work.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise SpecError(f"{path} cannot be written to: {error.strerror}; the output is a folder") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SpecError(f"{path}: another `dure map` writes there now; take another folder") from error
        _check(path, manifest)
        folder = OutputFolder(path, Parts(manifest.num_rows, manifest.part_rows))
        folder.sweep()
        try:
            yield folder
        finally:
            folder.sweep()
    finally:
        os.close(lock)


def _check(path: Path, manifest: Manifest) -> None:
    there = read_manifest(path)
    if there is not None:
        differences = there.differences(manifest)
        if differences:
            raise SpecError(
                f"{path} holds another map, which differs: {'; '.join(differences)}. Say the same to go on with it, or"
                " take another folder"
            )
        return
    others = [name for name in os.listdir(path) if name != _LOCK and not _LEFT_OVER.fullmatch(name)]
    if others:
        raise SpecError(f"{path} is not empty ({min(others)!r}), and holds no {MANIFEST}; take a new folder")
    manifest.write(path)
