"""Files as one tar.gz that is the same bytes for the same files, and such an archive unpacked without trusting it.

Knows plain files below one folder, and nothing of what they are. What `unpack` makes is a new folder: who calls it
moves that to where it belongs.
"""

import gzip
import hashlib
import os
import shutil
import tarfile
import unicodedata
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from dure.errors import HubError

MAX_FILES = 20_000
MAX_UNPACKED_BYTES = 4 * 2**30
MAX_PATH_BYTES = 1024
_LEVEL = 6  # weights do not get smaller with more, only later
_MAX_RATIO = 100
_FREE_OF_RATIO_BYTES = 256 * 2**20
_CHUNK_BYTES = 2**20
_MAX_EMPTY_READS = 100


@dataclass(frozen=True, kw_only=True)
class Packed:
    """An archive that was written.

    Args:
        digest: `sha256:…` of the tar.gz.
        size: Its bytes.
        diff_id: `sha256:…` of the tar within, which does not depend on who compressed it.
        unpacked_bytes: Of all files.
        num_files: How many there are.
    """

    digest: str
    size: int
    diff_id: str
    unpacked_bytes: int
    num_files: int


class _Tally:
    """A file that is written through: counts and hashes what passes."""

    def __init__(self, below: BinaryIO | gzip.GzipFile | None) -> None:
        self._below = below
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self.size += len(data)
        if self._below is not None:
            self._below.write(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back here."""

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def pack(files: Mapping[str, Path], target: BinaryIO) -> Packed:
    """Write files into a tar.gz: sorted, without times and owners, executable or not.

    Args:
        files: Path inside the archive, with slashes -> the file.
        target: Where to.

    Raises:
        HubError: A name that could not be unpacked everywhere, too much, or a file that cannot be read.
    """
    packed = _Tally(target)
    with gzip.GzipFile(
        filename="", mode="wb", fileobj=cast("BinaryIO", packed), mtime=0, compresslevel=_LEVEL
    ) as compressed:
        plain, total = _write_tar(files, _Tally(compressed))
    if total > max(_FREE_OF_RATIO_BYTES, _MAX_RATIO * packed.size):
        raise HubError(_too_thin(total, packed.size))
    return Packed(
        digest=packed.digest, size=packed.size, diff_id=plain.digest, unpacked_bytes=total, num_files=len(files)
    )


def diff_id(files: Mapping[str, Path]) -> str:
    """Return the digest that the tar of these files has, without writing one.

    Raises:
        HubError: As `pack`.
    """
    return _write_tar(files, _Tally(None))[0].digest


def _write_tar(files: Mapping[str, Path], plain: _Tally) -> tuple[_Tally, int]:
    check_names(files)
    total = 0
    with tarfile.open(fileobj=cast("BinaryIO", plain), mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(files):
            try:
                with files[name].open("rb") as file:
                    member = _member(name, file)
                    total += member.size
                    if total > MAX_UNPACKED_BYTES:
                        raise HubError(f"The files are more than {MAX_UNPACKED_BYTES:,} bytes together, up to {name!r}")
                    archive.addfile(member, file)
            except OSError as error:
                raise HubError(f"{files[name]}: cannot be read: {error.strerror or error}") from error
    return plain, total


def _member(name: str, file: Any) -> tarfile.TarInfo:
    about = os.fstat(file.fileno())
    member = tarfile.TarInfo(name)
    member.size = about.st_size
    member.mode = 0o755 if about.st_mode & 0o100 else 0o644
    return member


def check_names(names: Mapping[str, Any]) -> None:
    """Refuse too many names, and any that a folder could not hold everywhere, or that leads out of it.

    Raises:
        HubError: The message says which.
    """
    if len(names) > MAX_FILES:
        raise HubError(f"There are {len(names):,} files; {MAX_FILES:,} are the most of one bundle")
    known: dict[str, str] = {}
    for name in names:
        check_name(name)
        other = known.setdefault(name.casefold(), name)
        if other != name:
            raise HubError(f"{other!r} and {name!r} are one file on some machines: rename one")


def check_name(name: str) -> None:
    """Refuse a path that leads out of its folder, or that is not plain text.

    Raises:
        HubError: The message says why.
    """
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or (len(name) > 1 and name[1] == ":"):
        raise HubError(f"The member {name!r} is no path relative to a folder, with slashes")
    if {"", ".", ".."} & set(parts):
        raise HubError(f"The member {name!r} leads out of its folder, or is not written plainly")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise HubError(f"The member {name!r} has a control character in its name, or one that is no Unicode")
    if len(name.encode()) > MAX_PATH_BYTES or max(len(part.encode()) for part in parts) > 255:
        raise HubError(f"The member {name[:80]!r}… has too long a name")


class _Bounded:
    """The tar within a tar.gz: read forwards, in small pieces, and never past a bound."""

    def __init__(self, compressed: gzip.GzipFile, max_bytes: int) -> None:
        self._tar = compressed
        self._max_bytes = max_bytes
        self._empty = 0

    def read(self, size: int = -1) -> bytes:
        # The headers of a member are read in one piece, whatever size they claim.
        if not 0 <= size <= _CHUNK_BYTES:
            raise HubError(f"A member's header claims {size:,} bytes")
        data = self._tar.read(size)
        self._empty = 0 if data or not size else self._empty + 1
        if self._empty > _MAX_EMPTY_READS:
            raise HubError("The archive ends within a member")
        self._check(self._tar.tell())
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence:
            raise HubError("The archive cannot be read from its end")
        self._check(offset)
        return self._tar.seek(offset)

    def tell(self) -> int:
        return self._tar.tell()

    def _check(self, offset: int) -> None:
        if offset > self._max_bytes:
            raise HubError(f"It unpacks to more than {self._max_bytes:,} bytes")


def unpack(source: Path, folder: Path) -> None:
    """Unpack a tar.gz into a new, empty folder; what was unpacked so far is left there if it fails.

    Args:
        source: The tar.gz.
        folder: It must not exist.

    Raises:
        HubError: A link, a device, a path out of the folder, too many files or bytes, a broken archive, a full disk:
            the message says what, and which member.
    """
    size = source.stat().st_size
    # A tar is larger than its files: half a KiB of header and as much of padding for each.
    most = min(MAX_UNPACKED_BYTES + MAX_FILES * 4096, max(_FREE_OF_RATIO_BYTES, _MAX_RATIO * size))
    folder.mkdir()
    try:
        with gzip.open(source, "rb") as compressed:
            bounded = cast("BinaryIO", _Bounded(compressed, most))
            with tarfile.open(fileobj=bounded, mode="r:") as archive:
                _unpack_members(archive, folder)
            while bounded.read(_CHUNK_BYTES):  # gzip's own checksum stands at its end
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, IndexError) as error:
        raise HubError(f"The archive is broken: {error}") from error
    except OSError as error:
        raise HubError(f"The archive cannot be unpacked into {folder}: {error.strerror or error}") from error


def _unpack_members(archive: tarfile.TarFile, folder: Path) -> None:
    seen: set[str] = set()
    while (member := archive.next()) is not None:
        name = member.name.removesuffix("/")
        check_name(name)
        _check_kind(member)
        if name.casefold() in seen:
            raise HubError(f"The member {name!r} is there twice")
        seen.add(name.casefold())
        if len(seen) > MAX_FILES:
            raise HubError(f"There are more than {MAX_FILES:,} members")
        path = folder.joinpath(*PurePosixPath(name).parts)
        try:
            (path if member.isdir() else path.parent).mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise HubError(f"The member {name!r} stands below a file") from error
        if not member.isdir():
            _unpack_file(archive, member, path)


def _check_kind(member: tarfile.TarInfo) -> None:
    if member.islnk() or member.issym():
        raise HubError(f"The member {member.name!r} is a link to {member.linkname!r}: a bundle holds plain files only")
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) or member.sparse is not None:
        raise HubError(f"The member {member.name!r} is no plain file or folder: a bundle holds nothing else")
    if member.size > MAX_UNPACKED_BYTES:
        raise HubError(f"The member {member.name!r} claims {member.size:,} bytes; {MAX_UNPACKED_BYTES:,} are the most")


def _unpack_file(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    content = archive.extractfile(member)
    if content is None:
        raise HubError(f"The member {member.name!r} has no content")
    with content, path.open("xb") as file:  # "x": nothing is written through what is there already
        shutil.copyfileobj(content, file, _CHUNK_BYTES)
        if file.tell() != member.size:
            raise HubError(f"The archive ends within the member {member.name!r}")
    path.chmod(0o755 if member.mode & 0o100 else 0o644)


def _too_thin(total: int, size: int) -> str:
    return f"{total:,} bytes of files pack to {size:,}: nobody could tell it from an archive made to fill disks"
