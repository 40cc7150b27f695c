"""What a map was asked for, as the file `_map.json` beside its parts: who goes on must mean the same.

Knows its own words and how two of it differ. What does not change the output (backend, replicas, device, how requests
are cut) is not in it.
"""

from pathlib import Path
from typing import Any

import msgspec

from dure.bulk.source import Source, SourceFile
from dure.document import plain
from dure.document.files import replacing
from dure.errors import SpecError, ValidationError
from dure.spec import ExecutorSpec

MANIFEST = "_map.json"
"""Readers of Parquet folders leave out names that begin so."""
_FORMAT = 1


class ReadFile(msgspec.Struct, frozen=True):
    """One file of the input, as it was."""

    name: str
    num_rows: int
    size_bytes: int
    digest: str
    modified_ns: int = 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a map was asked for."""

    format: int = _FORMAT
    uses: str
    uses_with: dict[str, Any]
    uses_requests: dict[str, str]
    py_modules: list[str]
    on: str
    parameters: dict[str, Any]
    text: str | None
    part_rows: int
    num_rows: int
    num_parts: int
    files: list[ReadFile]

    def differences(self, other: "Manifest") -> list[str]:
        """Return what another one says differently, as `setting: mine there, its own now`."""
        found = [
            f"{name}: {_short(mine)} there, {_short(theirs)} now"
            for name in self.__struct_fields__
            if name not in ("files", "num_rows", "num_parts")
            and (mine := getattr(self, name)) != (theirs := getattr(other, name))
        ]
        return found + self._changed_files(other)

    def _changed_files(self, other: "Manifest") -> list[str]:
        mine, theirs = ([file.name for file in one.files] for one in (self, other))
        if mine != theirs:
            return [f"input: {_listed(mine)} there, {_listed(theirs)} now"]
        return [
            f"input file {old.name}: {name} {_short(getattr(old, name))} there, {_short(getattr(new, name))} now"
            for old, new in zip(self.files, other.files, strict=True)
            for name in ReadFile.__struct_fields__
            if getattr(old, name) != getattr(new, name)
        ]

    def write(self, folder: Path) -> None:
        """Write it into a folder; it appears whole."""
        with replacing(folder / MANIFEST) as file:
            file.write(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")


def read_manifest(folder: Path) -> Manifest | None:
    """Return that of a folder, or None where there is none.

    Raises:
        ValidationError: It cannot be read: another version of dure wrote it, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ValidationError(f"{path} cannot be read: {error}; it says what the parts beside it are") from error


def manifest_of(source: Source, executor: ExecutorSpec, asked: dict[str, Any]) -> Manifest:
    """Make the manifest of a map.

    Args:
        source: The input.
        executor: Who is asked.
        asked: `on`, `parameters`, `text`, `part_rows`, `num_parts`.

    Raises:
        SpecError: Arguments of the constructor that cannot be written down, so that nobody could go on later.
    """
    try:
        plain.check(executor.uses_with, "uses_with")
        plain.to_json(executor.uses_with, "uses_with")
    except ValidationError as error:
        raise SpecError(f"{error}: a map can be gone on with only if its words can be written down") from error
    return msgspec.convert(
        {
            "uses": _name(executor.uses),
            "uses_with": executor.uses_with,
            "uses_requests": executor.uses_requests,
            "py_modules": executor.py_modules,
            "num_rows": source.num_rows,
            "files": [_read_file(file) for file in source.files],
            **asked,
        },
        Manifest,
    )


def _name(uses: Any) -> str:
    return f"{uses.__module__}.{uses.__qualname__}" if isinstance(uses, type) else str(uses)


def _read_file(file: SourceFile) -> ReadFile:
    return ReadFile(Path(file.path).name, file.num_rows, file.size_bytes, file.digest, file.modified_ns)


def _short(value: Any) -> str:
    text = f"{value:,}" if isinstance(value, int) else repr(value)
    return text if len(text) <= 100 else f"{text[:99]}…"


def _listed(names: list[str]) -> str:
    return f"{len(names)} files ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
