"""The cache of fetched bundles: each below the digest of its manifest, and tags that name one.

Knows files only: no registry is asked here. Several processes may use it at once: what is added appears by one rename.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dure.errors import HubError
from dure.hub.artifact import BundleConfig, read_config
from dure.hub.reference import Reference
from dure.hub.signature import Signature

_COMPLETE = "complete"
"""The file that says that a bundle was verified and unpacked to its end."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A bundle in the cache.

    Args:
        digest: `sha256:…` of its manifest.
        path: What is kept of it.
    """

    digest: str
    path: Path

    @property
    def folder(self) -> Path:
        """The bundle itself, which holds config.yml."""
        return self.path / "bundle"

    @property
    def manifest(self) -> bytes:
        """The manifest, as it came."""
        return (self.path / "manifest.json").read_bytes()

    @property
    def config(self) -> BundleConfig:
        """What is said of the bundle."""
        path = self.path / "config.json"
        return read_config(path.read_bytes(), str(path))

    @property
    def signatures(self) -> list[Signature]:
        """The signatures that came with it; whether they are good is not known."""
        try:
            data = (self.path / "signatures.json").read_bytes()
            return msgspec.json.decode(data, type=list[Signature])
        except FileNotFoundError:
            return []
        except msgspec.DecodeError as error:
            raise HubError(f"{self.path}: is damaged: {error}. Remove it; it is fetched again") from error

    def keep(self, signatures: list[Signature]) -> None:
        """Put signatures beside the bundle, in place of those that are there."""
        _replace(self.path / "signatures.json", msgspec.json.encode(signatures))


class Store:
    """The cache of this user: below DURE_CACHE, else XDG_CACHE_HOME/dure, else ~/.cache/dure.

    Args:
        root: Another folder.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_folder() / "hub"

    def find(self, reference: Reference) -> Entry | None:
        """Return what is there for a reference with a registry: by its digest if it has one, else by its tag."""
        digest = reference.digest
        if not digest:
            try:
                digest = self._tag_file(reference).read_text(encoding="utf-8").strip()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return self.entry(digest)

    def entry(self, digest: str) -> Entry | None:
        """Return the bundle of a digest, if it is there to its end."""
        path = self._path(digest)
        return Entry(digest=digest, path=path) if (path / _COMPLETE).exists() else None

    def tag(self, reference: Reference, digest: str) -> None:
        """Note which digest a tag has; a reference with a digest notes nothing."""
        if not reference.digest:
            path = self._tag_file(reference)
            with _told(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, f"{digest}\n".encode())

    @contextlib.contextmanager
    def lock(self, reference: Reference) -> Iterator[Path]:
        """Be the only process that fetches this; give the path of a folder to work in, which is not there.

        Raises:
            HubError: The cache cannot be written to.
        """
        name = hashlib.sha256(str(reference).encode()).hexdigest()
        work = self.root / "work" / name
        with _told(self.root):
            work.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            number = os.open(work.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
            shutil.rmtree(work, ignore_errors=True)  # of a process that was killed
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
            os.close(number)

    def add(self, work: Path, digest: str) -> Entry:
        """Move what was made in a folder of `lock` to its place; nothing happens if another process was first.

        Raises:
            HubError: The cache cannot be written to.
        """
        path = self._path(digest)
        with _told(path):
            (work / _COMPLETE).touch()
            path.parent.mkdir(parents=True, exist_ok=True)
            if not (path / _COMPLETE).exists():
                shutil.rmtree(path, ignore_errors=True)
            try:
                work.rename(path)
            except OSError:
                if not (path / _COMPLETE).exists():
                    raise
        return Entry(digest=digest, path=path)

    def _path(self, digest: str) -> Path:
        kind, _, value = digest.partition(":")
        if kind != "sha256" or len(value) != 64 or not value.isalnum():
            raise HubError(f"{self.root}: {digest!r} is no digest; the cache is damaged: remove it, or pull again")
        return self.root / kind / value

    def _tag_file(self, reference: Reference) -> Path:
        registry = reference.registry.replace(":", "_")
        # No part of a repository's name begins with @.
        return self.root / "refs" / registry / reference.repository / f"@{reference.tag}"


def cache_folder() -> Path:
    """Return where dure keeps what it can fetch again."""
    if own := os.environ.get("DURE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dure"


def _replace(path: Path, data: bytes) -> None:
    """Write a file so that nobody sees half of it."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    with _told(path):
        beside.write_bytes(data)
        beside.replace(path)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HubError(f"the cache {path} cannot be written to: {error.strerror or error}") from error
