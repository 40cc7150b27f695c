"""Where a Flow's own channel is found on this machine: a Unix socket named after its public address.

The folder belongs to the user alone, so only this user's processes can reach the socket.
"""

import contextlib
import os
import socket
import tempfile
from pathlib import Path

from dure.errors import BackendError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EVERYWHERE = ("0.0.0.0", "::")
_MAX_BASE_BYTES = 60  # a Unix socket's path has 108 at most


def runtime_folder() -> Path:
    """Return the folder for this user's sockets, made if need be.

    Raises:
        BackendError: It is there, and somebody else's or open to others.
    """
    bases = (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp")
    base = next((base for base in bases if _is_usable(base)), tempfile.gettempdir())
    folder = Path(base) / f"dure-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or folder.is_symlink():
        raise BackendError(
            f"{folder} must be a folder of user {os.getuid()} alone (mode 0700); remove it or fix its mode"
        )
    return folder


def _is_usable(base: str) -> bool:
    # A variable may name a folder of another session, which is gone or never was in this container.
    return len(os.fsencode(base)) <= _MAX_BASE_BYTES and os.path.isdir(base) and os.access(base, os.W_OK)


def written(host: str, port: int) -> str:
    """Return `host:port` as gRPC reads it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def native_path(host: str, port: int, gateway: int | None = None) -> Path:
    """Return where the Flow listening on `host:port` has its own channel.

    Args:
        host: Its address.
        port: Its port.
        gateway: Process id of the gateway, where several Flows share the port: then no client finds it by its address.
    """
    name = "127.0.0.1" if host in _LOOPBACK else host
    return runtime_folder() / (f"{name}-{port}.sock" if gateway is None else f"{name}-{port}-{gateway}.sock")


def listening_socket(path: Path) -> socket.socket:
    """Return a bound Unix socket that only this user can connect to, in place of one a killed process left behind.

    Raises:
        OSError: The path cannot be bound.
    """
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(mask)
    return sock


def find_native(host: str, port: int) -> Path | None:
    """Return the own channel of the Flow a client calls at `host:port`, if it is on this machine."""
    hosts = (host, *_EVERYWHERE) if host in _LOOPBACK else (host,)
    try:
        return next((path for h in hosts if (path := native_path(h, port)).is_socket()), None)
    except (OSError, BackendError):
        return None  # without such a folder there is no Flow of this user on this machine
