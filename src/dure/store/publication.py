"""Files that appear whole or not at all: a folder that is written beside its place, and moved there by one rename.

A folder under way is locked by who writes it, so that what a killed process left is known, and is removed by the next.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from dure.errors import ModelError

_UNDER_WAY = ".new-"
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
"""What the system says where nothing more can be written."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only one who changes what is in a folder, among all processes; makes it if it is not there."""
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        number = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


@contextlib.contextmanager
def written_folder(parent: Path, write: Callable[[Path], None]) -> Iterator[Path]:
    """Give a folder with what `write` wrote, all of it on the disk; after the block it is gone, unless it was moved.

    Raises:
        ModelError: It cannot be written: the disk is full, for one.
    """
    with locked(parent):
        _sweep(parent)
        with told(parent):
            work = Path(tempfile.mkdtemp(prefix=_UNDER_WAY, dir=parent))
        held = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        with told(work):
            try:
                write(work)
            except Exception as error:  # a library may tell of a full disk in an exception of its own
                if "No space left" in str(error) and not isinstance(error, OSError):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
                raise
            for path in sorted(work.rglob("*")):
                sync(path)
            sync(work)
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(held)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that nobody sees half of it, and that it is there after a loss of power.

    Raises:
        ModelError: It cannot be written.
    """
    beside = path.with_name(f"{_UNDER_WAY}{os.getpid()}-{os.urandom(4).hex()}")
    with told(path):
        try:
            beside.write_bytes(data)
            sync(beside)
            beside.replace(path)
            sync(path.parent)
        finally:
            beside.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have a file or folder written to the disk."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Tell a failure of the file system in dure's words."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise ModelError(
                f"{path.parent} cannot be written to: the disk is full ({error.strerror}). Nothing was kept of it; make"
                " room (`dure models delete`), or set DURE_HOME to a folder elsewhere"
            ) from error
        raise ModelError(f"{path} cannot be written: {error.strerror or error}") from error


def _sweep(parent: Path) -> None:
    """Remove what processes left that were killed while they wrote."""
    for path in parent.glob(f"{_UNDER_WAY}*"):
        try:
            number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # somebody is at work
        else:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        finally:
            os.close(number)
