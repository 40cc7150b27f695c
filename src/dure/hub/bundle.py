"""A bundle on disk: the folder of an Executor, what of it is shared, and what it says of itself.

Runs none of its code. Does not know registries.
"""

import fnmatch
import importlib.metadata
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from dure.errors import HubError
from dure.hub.archive import Packed, check_name, diff_id, pack
from dure.hub.artifact import BundleConfig

CONFIG = "config.yml"
MANIFEST = "manifest.yml"
_MAX_TEXT_BYTES = 2**20
_LEFT_OUT = (
    *(".git", ".hg", ".svn", ".gitignore", ".gitattributes", ".gitmodules"),
    *("__pycache__", "*.pyc", "*.pyo", "*.egg-info", ".*_cache", ".hypothesis", ".ipynb_checkpoints", ".tox", ".nox"),
    *(".venv", "node_modules", ".idea", ".vscode", ".DS_Store", "Thumbs.db", "*~", "*.swp"),
    *(".env", ".env.*", ".netrc", ".pypirc"),
)
"""Names of files and folders that belong to a checkout, an editor or a person; the last line holds secrets."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is shared of a folder.

    Args:
        files: Path inside the bundle, with slashes -> the file.
        left_out: What is not, as paths inside the folder; a folder stands for all that is in it.
    """

    files: dict[str, Path]
    left_out: list[str]


def read_contents(folder: Path) -> Contents:
    """Look through a folder.

    Raises:
        HubError: It has no config.yml, or holds what cannot be shared: a link out of it, a device, a private key.
    """
    _check(folder)
    found = Contents(files={}, left_out=[])
    for where, folders, names in os.walk(folder, onerror=_fail):
        here = Path(where)
        folders[:] = sorted(name for name in folders if not _take(here / name, folder, found))
        for name in sorted(names):
            _take(here / name, folder, found)
    return found


def _check(folder: Path) -> None:
    if not (folder / CONFIG).is_file():
        raise HubError(f"{folder} is no bundle: there is no {CONFIG} in it. Make one: dure hub new")


def _take(path: Path, root: Path, found: Contents) -> bool:
    """Add a file, or leave it out; return whether a folder needs no further look."""
    name = path.relative_to(root).as_posix()
    if any(fnmatch.fnmatchcase(path.name, pattern) for pattern in _LEFT_OUT) or (path / "pyvenv.cfg").exists():
        found.left_out.append(name)
        return True
    if path.is_symlink() and not (path.is_file() and path.resolve().is_relative_to(root.resolve())):
        raise HubError(
            f"{path} is a link to {os.readlink(path)}: only links to files of the bundle itself are followed"
        )
    if path.is_dir():
        return False
    check_name(name)
    if not stat.S_ISREG(path.stat().st_mode):
        raise HubError(f"{path} is no plain file, and cannot be shared: move it away")
    if _is_private_key(path):
        raise HubError(f"{path} is a private key, and whoever fetches the bundle would have it: move it away")
    found.files[name] = path
    return True


def _is_private_key(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            begin = file.read(64)
    except OSError as error:
        raise HubError(f"{path}: cannot be read: {error.strerror or error}") from error
    return begin.startswith(b"-----BEGIN ") and b"PRIVATE KEY-----" in begin


def _fail(error: OSError) -> None:
    raise HubError(f"{error.filename}: cannot be read: {error.strerror or error}") from error


def pack_bundle(folder: Path, target: BinaryIO) -> tuple[BundleConfig, Packed, list[str]]:
    """Write a bundle's files into a tar.gz.

    Args:
        folder: Of the bundle.
        target: Where to.

    Returns:
        What is said of it, what was written, and what was left out.

    Raises:
        HubError: It is no bundle, or cannot be shared as it is.
    """
    contents = read_contents(folder)
    about = describe(folder)
    packed = pack(contents.files, target)
    config = BundleConfig(
        **about,
        dure=importlib.metadata.version("dure"),
        diff_id=packed.diff_id,
        num_files=packed.num_files,
        unpacked_bytes=packed.unpacked_bytes,
    )
    return config, packed, contents.left_out


def bundle_diff_id(folder: Path) -> str:
    """Return the digest of a bundle's files as they are now.

    Raises:
        HubError: It is no bundle.
    """
    return diff_id(read_contents(folder).files)


def describe(folder: Path) -> dict[str, Any]:
    """Read what a bundle says of itself in config.yml and manifest.yml: fields of `BundleConfig`.

    Raises:
        HubError: config.yml cannot be read, or names no class.
    """
    _check(folder)
    config_text, config = _read_yaml(folder / CONFIG)
    manifest_text, manifest = _read_yaml(folder / MANIFEST) if (folder / MANIFEST).is_file() else ("", {})
    metas = config.get("metas")
    told = {**(metas if isinstance(metas, dict) else {}), **manifest}
    kind = config.get("jtype")
    if not isinstance(kind, str) or not kind.rpartition(".")[2].isidentifier():
        raise HubError(f"{folder / CONFIG}: jtype names no class: {kind!r}. For example: jtype: SentenceEncoder")
    keywords = told.get("keywords")
    return {
        "name": kind.rpartition(".")[2],
        "description": _text(told.get("description")),
        "keywords": [_text(word) for word in keywords][:64] if isinstance(keywords, list) else [],
        "url": _text(told.get("url")),
        "version": _text(told.get("version")),
        "config_yml": config_text,
        "manifest_yml": manifest_text,
    }


def _text(value: object) -> str:
    return str(value)[:1000] if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _read_yaml(path: Path) -> tuple[str, dict[str, Any]]:
    import yaml

    try:
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise HubError(f"{path} is larger than {_MAX_TEXT_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8")
        values = yaml.safe_load(text)
    except OSError as error:
        raise HubError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise HubError(f"{path}: broken YAML: {error}") from error
    if not isinstance(values, dict):
        raise HubError(f"{path}: must be a mapping, such as `jtype: SentenceEncoder`, not {values!r:.60}")
    return text, values
