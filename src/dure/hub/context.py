"""What a build of an image is sent: the files of a bundle, and those that are put beside them, as one tar archive.

Follows .dockerignore as Docker does; a link that leaves the folder is refused. Knows nothing of engines.
"""

import io
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from dure.deps import require
from dure.errors import HubError
from dure.hub.dockerfile import dockerignore

_IGNORE = ".dockerignore"
_IN_MEMORY_BYTES = 16 * 2**20


def pack(folder: Path, beside: Mapping[str, Path | str]) -> IO[bytes]:
    """Return the archive, to be read from its beginning and closed.

    What the folder's .dockerignore names is left out, or what that of a new bundle does where it has none.

    Args:
        folder: The bundle.
        beside: Path in the archive -> a file, or a text; over what the folder has there.

    Raises:
        HubError: A link that leaves the folder or leads nowhere, or a file that cannot be read.
        MissingDependency: The Docker SDK, which knows .dockerignore, is not installed.
    """
    archive = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115  (the caller closes it)
    try:
        with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT, dereference=True) as tar:
            for name in kept(folder):
                if name not in beside and name != _IGNORE:
                    _add_file(tar, name, _inside(folder, name))
            # Nothing more is to be left out: the engine would look at what was put beside as well.
            for name, content in {**beside, _IGNORE: ""}.items():
                if isinstance(content, str):
                    _add_text(tar, name, content)
                else:
                    _add_file(tar, name, content)
    except OSError as error:
        archive.close()
        raise HubError(f"{error.filename or folder}: cannot be read: {error.strerror or error}") from error
    except BaseException:
        archive.close()
        raise
    archive.seek(0)
    return archive


def kept(folder: Path) -> Iterator[str]:
    """Yield the files that .dockerignore leaves, as paths in the folder, in order."""
    build = require("docker.utils.build", "docker")
    ignore = folder / _IGNORE
    lines = (ignore.read_text(encoding="utf-8") if ignore.is_file() else dockerignore()).splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    for name in sorted(build.exclude_paths(str(folder), patterns)):
        path = folder / name
        if path.is_symlink() or path.is_file():
            yield name


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    target = path.resolve()
    if not target.is_relative_to(folder.resolve()):
        raise HubError(f"{path}: a link that leaves the folder ({target}): copy what it names, or leave it out.")
    if not target.is_file():
        raise HubError(f"{path}: a link to no file ({target}): remove it, or leave it out by .dockerignore.")
    return path


def _add_file(tar: tarfile.TarFile, name: str, path: Path) -> None:
    with path.open("rb") as file:
        member = tar.gettarinfo(arcname=name, fileobj=file)
        _anonymous(member)
        member.mode = 0o755 if member.mode & 0o100 else 0o644
        tar.addfile(member, file)


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode()
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _anonymous(member: tarfile.TarInfo) -> None:
    """Leave out whose it was."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
