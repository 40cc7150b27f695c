"""API keys: a file of them, made with `dure keys`, read again by a gateway when it changes.

    dure_3f9ab8c1d2e4f607_vJ0…      a key: the id, which may be told, and a secret of 256 random bits

The file holds no secret, only its salted SHA-256. That is enough here, unlike for passwords: nobody can try out 2^256
secrets, however fast the hash, and each request pays for it. Knows nothing of requests.
"""

import base64
import fcntl
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct

from dure.errors import SpecError, Unauthenticated
from dure.gateway.limits import Limits
from dure.log import get_logger

_LOOK_S = 1.0
_NAME_LENGTH = len("dure_0123456789abcdef_")


_Hex: TypeAlias = Annotated[str, Meta(pattern="^([0-9a-f]{2})*$")]
_Moment: TypeAlias = Annotated[datetime, Meta(tz=True)]


class Scope(StrEnum):
    """What a key is good for."""

    INFER = "infer"
    TRAIN = "train"
    ADMIN = "admin"
    METRICS = "metrics"


class Key(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key, as it stands in the file: everything but the secret.

    Moments are those of the calendar. `weight` is the client's share where several wait; `max_priority` the highest
    that its requests may have.
    """

    id: str
    name: str
    salt: _Hex
    hash: _Hex
    scopes: list[Scope]
    weight: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    max_priority: int = 0
    limits: Limits = Limits()
    made_at: _Moment | None = None
    expires_at: _Moment | None = None
    revoked_at: _Moment | None = None

    @property
    def state(self) -> str:
        """`good`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= datetime.now(UTC) else "good"


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    keys: list[Key] = []


def read(path: Path) -> list[Key]:
    """Read a file of keys.

    Raises:
        SpecError: It is not there, not such a file, or may be written by others.
    """
    try:
        data, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise SpecError(f"keys_file: {path} cannot be read: {error.strerror}; `dure keys add` makes one") from error
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SpecError(f"keys_file: others may write {path}, and so add keys; say: chmod 600 {path}")
    try:
        return msgspec.json.decode(data, type=_File).keys
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise SpecError(f"keys_file: {path} is no file of keys: {error}") from error


def add(path: Path, key: Callable[[str, str, str], Key]) -> str:
    """Add a key; return it. Nobody can read it again.

    Args:
        path: The file, made if it is not there.
        key: Makes the record of an id, a salt and a hash.
    """
    secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=")
    salt = secrets.token_bytes(16)
    with _locked(path):
        record = key(secrets.token_hex(8), salt.hex(), _hash(salt, secret).hex())
        _write(path, [*(read(path) if path.exists() else []), record])
    return _name(record) + secret.decode()


def revoke(path: Path, which: str) -> list[Key]:
    """Revoke the keys of that id or name; return them.

    Raises:
        SpecError: There is none that is not revoked.
    """
    with _locked(path):
        keys = read(path)
        ended = [key for key in keys if which in (key.id, key.name) and key.revoked_at is None]
        if not ended:
            raise SpecError(f"keys: {path} has no key {which!r} that could be revoked; see `dure keys list`")
        now = datetime.now(UTC)
        _write(path, [msgspec.structs.replace(key, revoked_at=now) if key in ended else key for key in keys])
    return ended


class KeyRing:
    """The keys of a file, looked up.

    The file is looked at when somebody asks, at most once a second. If it cannot be read any more, the keys known
    before stay good and that is logged: half a file must not lock out everybody.

    Args:
        path: The file.
        clock: Tells the moment, in seconds.

    Raises:
        SpecError: It cannot be read.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = monotonic) -> None:
        self._path = path
        self._clock = clock
        self._looked_at = clock()
        self._seen = _stamp(path)
        self._known = _prepared(read(path))

    def find(self, given: bytes | None) -> Key:
        """Return the key that was given.

        Raises:
            Unauthenticated: None was given, or it is not known, has expired or was revoked.
        """
        now = self._clock()
        if now - self._looked_at >= _LOOK_S:
            self._looked_at = now
            self._look()
        if given is None:
            raise Unauthenticated("this Flow asks for an API key: send the header `Authorization: Bearer dure_…`")
        found, secret = self._known.get(given[:_NAME_LENGTH]), given[_NAME_LENGTH:]
        if found is None or not hmac.compare_digest(_hash(found[1], secret), found[2]):
            raise Unauthenticated("this API key is not known here")
        key = found[0]
        if key.revoked_at is not None or key.expires_at is not None:
            state = key.state
            if state != "good":
                raise Unauthenticated(f"the API key {key.id} is {state}")
        return key

    def _look(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._known = _prepared(read(self._path))
        except SpecError as error:
            get_logger("gateway").error("%s; the keys known before stay good", error)
        else:
            get_logger("gateway").info("read %d keys of %s", len(self._known), self._path)


def _name(key: Key) -> str:
    """Return what a key begins with; the secret follows."""
    return f"dure_{key.id}_"


def _hash(salt: bytes, secret: bytes) -> bytes:
    return hashlib.sha256(salt + secret).digest()


def _prepared(keys: list[Key]) -> dict[bytes, tuple[Key, bytes, bytes]]:
    return {_name(key).encode(): (key, bytes.fromhex(key.salt), bytes.fromhex(key.hash)) for key in keys}


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # The folder, since the file itself is replaced.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: Path, keys: list[Key]) -> None:
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    data = msgspec.json.format(msgspec.json.encode(_File(keys)), indent=2)
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "wb") as out:
            out.write(data + b"\n")
            out.flush()
            os.fsync(out.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
