"""What is a whole snapshot, and what each kind of half one is called."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from dure.errors import ModelError, UnsafeModel
from dure.hub.snapshot import read_snapshot


def tensors(*names: str, cut: int = 0) -> bytes:
    """Return a safetensors file with a vector of four numbers for each name."""
    header = {
        name: {"dtype": "F32", "shape": [4], "data_offsets": [16 * i, 16 * i + 16]} for i, name in enumerate(names)
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    whole = struct.pack("<Q", len(text)) + text + bytes(16 * len(names))
    return whole[: len(whole) - cut]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "my-model"
    write(folder, {"config.json": {"model_type": "bert"}, "tokenizer.json": {}, "model.safetensors": tensors("a", "b")})
    return folder


def write(folder: Path, files: dict[str, Any]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def test_a_whole_one_is_taken_without_what_is_not_needed(model: Path) -> None:
    unneeded = ("pytorch_model.bin", "modeling.py", "other.safetensors", ".git/config.json", "flax_model.msgpack")
    write(model, dict.fromkeys(unneeded, b"x") | {"vocab.txt": b"a", "LICENSE": b"free"})
    found = read_snapshot(model)
    assert found.name == "my-model"
    assert set(found.files) == {"LICENSE", "config.json", "model.safetensors", "tokenizer.json", "vocab.txt"}
    assert found.weights == ("model.safetensors",)
    assert found.num_bytes == sum(path.stat().st_size for path in found.files.values())


def test_modules_are_taken_along(model: Path) -> None:
    modules = [
        {"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
        {"type": "sentence_transformers.models.Dense", "path": "2_Dense"},
        {"type": "sentence_transformers.models.Normalize", "path": "3_Normalize"},
    ]
    write(model, {"modules.json": modules, "1_Pooling/config.json": {}, "2_Dense/config.json": {}})
    with pytest.raises(ModelError, match=r"incomplete: 2_Dense/model.safetensors missing"):
        read_snapshot(model)
    write(model, {"2_Dense/model.safetensors": tensors("linear.weight")})
    found = read_snapshot(model)
    assert {"1_Pooling/config.json", "2_Dense/model.safetensors"} <= set(found.files)
    assert found.weights == ("model.safetensors", "2_Dense/model.safetensors")


def test_shards_must_all_be_there_and_hold_what_the_index_says(model: Path) -> None:
    (model / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}
    write(model, {"model.safetensors.index.json": index, "model-1-of-2.safetensors": tensors("a")})
    with pytest.raises(ModelError, match=r"incomplete: model-2-of-2\.safetensors missing"):
        read_snapshot(model)
    write(model, {"model-2-of-2.safetensors": tensors("c")})
    with pytest.raises(ModelError, match=r"model-2-of-2\.safetensors: it lacks b of"):
        read_snapshot(model)
    write(model, {"model-2-of-2.safetensors": tensors("b", "c")})
    assert read_snapshot(model).weights == ("model-1-of-2.safetensors", "model-2-of-2.safetensors")


@pytest.mark.parametrize(
    ("without", "told"),
    [
        ("config.json", "config.json missing"),
        ("tokenizer.json", r"tokenizer.json \(or vocab.txt, or vocab.json with merges.txt\) missing"),
        ("model.safetensors", "model.safetensors missing"),
    ],
)
def test_what_is_missing_is_named(model: Path, without: str, told: str) -> None:
    (model / without).unlink()
    with pytest.raises(ModelError, match=told):
        read_snapshot(model)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234",
        b"\xff" * 64,
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2**40) + b"{}",
        tensors("a", cut=1),
        tensors("a") + b"x",
        tensors("a").replace(b'"F32"', b'"F64"'),
        tensors("a").replace(b'"F32"', b'"X!?"'),
    ],
    ids=["empty", "short", "no header", "a list", "huge header", "cut off", "longer", "other type", "no type"],
)
def test_damaged_weights(model: Path, data: bytes) -> None:
    (model / "model.safetensors").write_bytes(data)
    with pytest.raises(ModelError, match=r"model\.safetensors: .*Get it again"):
        read_snapshot(model)


def test_pickles_alone_are_refused(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(UnsafeModel, match=r"pytorch_model\.bin: a pickle runs code"):
        read_snapshot(model)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_pointers_of_git_lfs_are_no_files(model: Path, name: str) -> None:
    (model / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(ModelError, match=r"pointer of Git LFS.*git lfs pull"):
        read_snapshot(model)


def test_links_stay_in_the_folder_or_in_its_cache(model: Path, tmp_path: Path) -> None:
    (model / "weights").mkdir()
    (model / "model.safetensors").rename(model / "weights" / "inside")
    (model / "model.safetensors").symlink_to("weights/inside")
    assert read_snapshot(model).weights
    (tmp_path / "secret.json").write_text("{}", encoding="utf-8")
    (model / "generation_config.json").symlink_to("../secret.json")
    with pytest.raises(UnsafeModel, match="a link that leaves the folder"):
        read_snapshot(model)
    (model / "generation_config.json").unlink()
    (model / "generation_config.json").symlink_to("nothing.json")
    with pytest.raises(ModelError, match="a link to nothing"):
        read_snapshot(model)


def test_a_snapshot_in_the_cache_of_hugging_face(model: Path, tmp_path: Path) -> None:
    home = tmp_path / "models--org--some-model"
    snapshot = home / "snapshots" / ("f" * 40)
    snapshot.mkdir(parents=True)
    (home / "blobs").mkdir()
    for i, path in enumerate(sorted(model.iterdir())):
        (home / "blobs" / str(i)).write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(os.path.join("..", "..", "blobs", str(i)))
    assert read_snapshot(snapshot).name == "some-model"


def test_modules_that_lead_out_and_json_that_is_none(model: Path) -> None:
    write(model, {"modules.json": [{"type": "Pooling", "path": "../other"}]})
    with pytest.raises(UnsafeModel, match="leads out of the folder"):
        read_snapshot(model)
    (model / "modules.json").unlink()
    (model / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"config\.json is not JSON"):
        read_snapshot(model)
    with pytest.raises(ModelError, match="no such folder"):
        read_snapshot(model / "nowhere")
