"""What a container sees of the host's files: the words people write, and what the engine is told.

    HOST:CONTAINER[:ro|rw][,create] · HOST alone is /NAME in the container · NAME:CONTAINER is a volume of the engine

A host path may be relative, begin with ~, or with a drive of Windows. Parsing asks no disk, `bind` does.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from msgspec import Struct

from dure.errors import SpecError
from dure.spec import suggest

_MODES = ("ro", "rw", "create")
_NAMED = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_PARTS = re.compile(r"(?:^[A-Za-z]:(?=\\|/[^:]*:/)[^:]*|[^:]+|(?<=:)(?=:|$)|^(?=:))")
_CACHES = (("HF_HOME", "~/.cache/huggingface", ".cache/huggingface"), ("TORCH_HOME", "~/.cache/torch", ".cache/torch"))
"""For each model library: the variable that moves its cache, where it is else, and where below its home."""


class Volume(Struct, frozen=True, kw_only=True):
    """One folder or file of the host, or volume of the engine, and where it is in the container."""

    source: str
    target: str
    read_only: bool = False
    create: bool = False
    named: bool = False

    def bind(self, path: str) -> str:
        """Return how the engine is told; the host's path is made if that was asked for.

        Args:
            path: Of the setting, for messages.

        Raises:
            SpecError: The host has no such path.
        """
        mode = "ro" if self.read_only else "rw"
        if self.named:
            return f"{self.source}:{self.target}:{mode}"
        source = Path(self.source).expanduser().absolute()
        source = Path(os.path.normpath(source))
        if self.create:
            _make(source, path)
        if not source.exists():
            raise SpecError(
                f"{path}: {self.source!r}: there is no {source} on this machine. Make it, or have it made:"
                f" {self.source}:{self.target}:{'ro,' if self.read_only else ''}create"
            )
        return f"{source}:{self.target}:{mode}"

    def below(self, home: str) -> "Volume":
        """Return it with a target below /root below `home` instead: who is not root cannot look into /root."""
        rest = PurePosixPath(self.target)
        if not rest.is_relative_to("/root"):
            return self
        target = str(PurePosixPath(home) / rest.relative_to("/root"))
        return Volume(source=self.source, target=target, read_only=self.read_only, create=self.create, named=self.named)


def parse_volumes(values: Iterable[str], path: str) -> tuple[Volume, ...]:
    """Read a setting.

    Args:
        values: Texts, as above.
        path: Where they stand, for messages, e.g. `executors[1].volumes`.

    Raises:
        SpecError: A text that is none of these, or two for one place.
    """
    found: dict[str, Volume] = {}
    for i, text in enumerate(values):
        volume = _parse(text, f"{path}[{i}]")
        if volume.target in found:
            raise SpecError(f"{path}[{i}]: {volume.target} is {found[volume.target].source!r} already, not {text!r}")
        found[volume.target] = volume
    return tuple(found.values())


def model_caches(home: str) -> tuple[Volume, ...]:
    """Return the folders in which model libraries keep what they downloaded, at the same place below `home`."""
    return tuple(
        Volume(source=os.environ.get(variable) or usual, target=str(PurePosixPath(home) / below), create=True)
        for variable, usual, below in _CACHES
    )


def _parse(text: Any, path: str) -> Volume:
    parts = _PARTS.findall(text) if isinstance(text, str) else []
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise SpecError(f"{path}: {text!r:.80} is not HOST:CONTAINER, HOST:CONTAINER:ro, or HOST alone")
    source, modes = parts[0], _modes(parts[2], path) if len(parts) == 3 else set()
    if len(parts) == 1:
        name = _last(source)
        if not name:
            raise SpecError(f"{path}: {text!r}: say where in the container: {text}:/data")
        return Volume(source=source, target=f"/{name}")
    if set(parts[1].split(",")) <= set(_MODES):
        raise SpecError(f"{path}: {text!r}: where in the container is missing: {source}:/data:{parts[1]}")
    named = _NAMED.fullmatch(source) is not None
    if named and "create" in modes:
        raise SpecError(
            f"{path}: {text!r}: {source!r} is a volume of the engine, which makes it; a folder is ./{source}"
        )
    return Volume(
        source=source,
        target=_checked_target(parts[1], text, path),
        read_only="ro" in modes,
        create="create" in modes,
        named=named,
    )


def _modes(text: str, path: str) -> set[str]:
    modes = {word.strip() for word in text.split(",")}
    for word in modes:
        if word not in _MODES:
            raise SpecError(f"{path}: {word!r} is no mode.{suggest(word, _MODES)} Modes are: {', '.join(_MODES)}.")
    if {"ro", "rw"} <= modes:
        raise SpecError(f"{path}: {text!r}: either ro or rw")
    return modes


def _checked_target(target: str, text: str, path: str) -> str:
    place = PurePosixPath(target)
    if not place.is_absolute() or ".." in place.parts or str(place) in ("/", "//"):
        raise SpecError(f"{path}: {text!r}: {target!r} is no place in a container; it begins with /, e.g. /data")
    return str(place)


def _last(source: str) -> str:
    if re.match(r"[A-Za-z]:[\\/]", source):
        return PureWindowsPath(source).name
    return Path(os.path.normpath(Path(source).expanduser().absolute())).name


def _make(source: Path, path: str) -> None:
    try:
        source.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecError(f"{path}: {source} cannot be made: {error.strerror or error}") from error
