"""A model's folder in Hugging Face's format, verified: complete, in safetensors, nothing from outside of it.

Reads headers and sizes, not weights. Does not know where models are found nor what they compute.
Source: the safetensors format, https://huggingface.co/docs/safetensors/index#format.
"""

import json
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dure.errors import ModelError, UnsafeModel

_WEIGHTS = "model.safetensors"
_SHARDS = "model.safetensors.index.json"
_MODULES = "modules.json"
_TOKENIZERS = (
    ("tokenizer.json",),
    ("vocab.txt",),
    ("vocab.json", "merges.txt"),
    ("tokenizer.model",),
    ("sentencepiece.bpe.model",),
    ("spiece.model",),
)
_TAKEN = (".json", ".txt", ".model", ".jinja")
_LICENCES = re.compile(r"(LICEN[SC]E|NOTICE|README)(\.md|\.txt)?", re.IGNORECASE)
_PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5", ".msgpack")
_LFS = b"version https://git-lfs"
_MAX_HEADER_BYTES = 100 * 2**20
_BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8}
_CACHED = re.compile(r"models--(?:.*--)?(?P<name>[^/]+)/snapshots/[^/]+")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of a complete snapshot.

    Args:
        name: What the folder is called in an image: `models/<name>`.
        files: Path in the folder -> where it lies.
        weights: Those of them that are weights.
    """

    name: str
    files: dict[str, Path]
    weights: tuple[str, ...]

    @property
    def num_bytes(self) -> int:
        """Size of all of them."""
        return sum(path.stat().st_size for path in self.files.values())


def read_snapshot(folder: Path, name: str = "") -> ModelFiles:
    """Look whether a folder holds a whole model, and return its files.

    Args:
        folder: Of Hugging Face's format; of sentence-transformers', with its modules, as well.
        name: What it is called; the folder's own name where none is given.

    Raises:
        ModelError: Something is missing or damaged; the message says what.
        UnsafeModel: All weights are pickled, or a link leaves the folder.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: there is no such folder of a model")
    found = dict(_files(folder))
    root, parts = _parts(folder, found)
    missing = [part for part in parts if part not in found]
    if f"{root}config.json" not in found:
        missing.append(f"{root}config.json")
    if not any(all(f"{root}{file}" in found for file in files) for files in _TOKENIZERS):
        missing.append(f"{root}tokenizer.json (or vocab.txt, or vocab.json with merges.txt)")
    weights = [*_weights(folder, root, found, missing)]
    if missing:
        raise ModelError(f"{folder}: the snapshot is incomplete: {', '.join(missing)} missing. Get it again, whole.")
    _object(folder / f"{root}config.json")
    for part in parts:
        own = f"{part.rpartition('/')[0]}/{_WEIGHTS}"
        if own in found and own not in weights:
            weights.append(own)
    for weight in weights:
        _tensors(folder / weight)
    files = {key: found[key] for key in sorted(found) if key in weights or not key.endswith(".safetensors")}
    return ModelFiles(name or _name_of(folder), files, tuple(weights))


def _name_of(folder: Path) -> str:
    cached = _CACHED.search(folder.as_posix())
    return cached["name"] if cached else folder.resolve().name


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield what is taken along: no pickles, no code, no copies for other libraries."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        is_weight = path.suffix == ".safetensors"
        if not (is_weight or path.suffix in _TAKEN or _LICENCES.fullmatch(path.name)) or "/." in f"/{name}":
            continue
        _require_inside(folder, path)
        if path.is_dir():
            continue
        if not path.is_file():
            raise ModelError(f"{path}: a link to nothing ({path.resolve()}). Get the snapshot again, whole.")
        with path.open("rb") as file:
            if file.read(len(_LFS)) == _LFS:
                raise ModelError(f"{path}: a pointer of Git LFS, not the file itself. In that repository: git lfs pull")
        yield name, path


def _require_inside(folder: Path, path: Path) -> None:
    home, target = folder.resolve(), path.resolve()
    # In Hugging Face's cache, a snapshot is links to the blobs of the same repository.
    blobs = home.parent.parent / "blobs" if home.parent.name == "snapshots" else home
    if not (target.is_relative_to(home) or target.is_relative_to(blobs)):
        raise UnsafeModel(f"{path}: a link that leaves the folder ({target}). Copy the file itself there.")


def _parts(folder: Path, found: dict[str, Path]) -> tuple[str, list[str]]:
    """Return where the transformer is (`""` or `0_Transformer/`), and what modules.json needs besides."""
    if _MODULES not in found:
        return "", []
    root, parts = "", []
    modules = _json(folder / _MODULES)
    if not isinstance(modules, list):
        raise ModelError(f"{folder / _MODULES}: a list of modules is needed")
    for module in modules:
        path, kind = str(module.get("path", "")).strip("/"), str(module.get("type", "")).rpartition(".")[2]
        if ".." in Path(path).parts or Path(path).is_absolute():
            raise UnsafeModel(f"{folder / _MODULES}: {path!r} leads out of the folder")
        if kind == "Transformer":
            root = f"{path}/" if path else ""
        elif path and kind != "Normalize":
            parts.append(f"{path}/config.json")
            parts += [f"{path}/{_WEIGHTS}"] if kind == "Dense" else []
    return root, parts


def _weights(folder: Path, root: str, found: dict[str, Path], missing: list[str]) -> Iterator[str]:
    index = f"{root}{_SHARDS}"
    if index in found:
        where = _object(folder / index).get("weight_map")
        if not isinstance(where, dict) or not all(isinstance(shard, str) for shard in where.values()):
            raise ModelError(f"{folder / index}: it has no weight_map. Get the snapshot again.")
        for shard in sorted(set(where.values())):
            if f"{root}{shard}" not in found:
                missing.append(f"{root}{shard}")
                continue
            lacks = {tensor for tensor, file in where.items() if file == shard} - _tensors(folder / root / shard)
            if lacks:
                raise ModelError(f"{folder / root / shard}: it lacks {', '.join(sorted(lacks)[:3])} of {_SHARDS}")
            yield f"{root}{shard}"
        return
    if f"{root}{_WEIGHTS}" in found:
        yield f"{root}{_WEIGHTS}"
        return
    pickles = sorted(path.name for path in (folder / root).glob("*") if path.suffix in _PICKLED)
    if pickles:
        raise UnsafeModel(
            f"{folder}: the only weights are {', '.join(pickles)}: a pickle runs code when it is read. Get a revision"
            f" that has {_WEIGHTS}, or convert them yourself if you trust them."
        )
    missing.append(f"{root}{_WEIGHTS}")


def _tensors(path: Path) -> set[str]:
    """Return the names of the tensors of a safetensors file, once its header fits its size."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header: Any = json.loads(file.read(length)) if length <= min(_MAX_HEADER_BYTES, size) else None
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = max((_end(entry) for entry in tensors.values()), default=0)
    except (struct.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{path}: no safetensors file, or the beginning of one ({error}). Get it again.") from error
    if size != 8 + length + end:
        raise ModelError(
            f"{path}: {size:,} bytes, where its header speaks of {8 + length + end:,}: it was cut off or changed."
            " Get it again."
        )
    return set(tensors)


def _end(entry: Any) -> int:
    begin, end = entry["data_offsets"]
    dtype = str(entry["dtype"])
    bits = _BITS.get(dtype) or int(re.sub(r"\D.*", "", dtype.lstrip("BFIUC")))
    if (end - begin) * 8 != math.prod(entry["shape"]) * bits:
        raise ValueError(f"{begin}-{end} does not hold {entry['shape']} of {dtype}")
    return int(end)


def _object(path: Path) -> dict[str, Any]:
    found = _json(path)
    if not isinstance(found, dict):
        raise ModelError(f"{path}: a mapping is needed. Get the snapshot again.")
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}. The snapshot is damaged; get it again.") from error
