"""One version of a model on disk: its folder, its card, and whether its files are those that were published."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dure.errors import ModelError

CARD = "card.json"
_BLOCK_BYTES = 2**20


@dataclass(frozen=True)
class Version:
    """A published model.

    Args:
        name: Of the model.
        number: From 1, in the order of publication; a number is never used twice.
        folder: Its files, which nobody changes any more.
        card: What is told of it: task, kind, labels, scores, data digest, recipe and the like, `size_bytes`, and
            `files`: the SHA-256 of each. Of a version whose card cannot be read: `damaged`, why.
        aliases: What it goes by besides its number, sorted.
    """

    name: str
    number: int
    folder: Path
    card: dict[str, Any]
    aliases: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"

    @property
    def size_bytes(self) -> int:
        """Of its files, together."""
        return int(self.card.get("size_bytes", 0))

    def verify(self) -> None:
        """Read every file once and compare it with the card.

        Raises:
            ModelError: A file is missing, or is not what was published; names it.
        """
        if damaged := self.card.get("damaged"):
            raise ModelError(str(damaged))
        for name, digest in self.card.get("files", {}).items():
            path = self.folder / name
            try:
                found = digest_of(path)
            except OSError as error:
                raise ModelError(f"{self} is damaged: {path} cannot be read: {error.strerror}. {_CURE}") from error
            if found != digest:
                raise ModelError(f"{self} is damaged: {path} is not the file that was published. {_CURE}")


_CURE = "Use another version, or train it again"


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card of a version.

    Raises:
        ModelError: It cannot be read.
    """
    path = folder / CARD
    try:
        card = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is damaged: {error}. {_CURE}") from error
    return card


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
