from pathlib import Path

import pytest
import torch

from dure.errors import ModelError
from dure.learning.checkpoint import Checkpoint, load_checkpoint


def test_tensors_and_values_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    tensors = {"weight": torch.randn(3, 2).T, "step": torch.tensor(7.0), "rows": torch.arange(3)}
    Checkpoint(tensors, {"loss": 0.1 + 0.2, "name": "한글"}).save(path)
    kept = load_checkpoint(path)
    assert kept is not None
    assert kept.plain == {"loss": 0.1 + 0.2, "name": "한글"}
    assert all(torch.equal(kept.tensors[name], tensor) for name, tensor in tensors.items())
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_there_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "none.safetensors") is None


@pytest.mark.parametrize("keep", [0, 5, 40])
def test_a_damaged_one_is_named(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "checkpoint.safetensors"
    Checkpoint({"weight": torch.ones(10)}, {}).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"checkpoint\.safetensors is no checkpoint, or a damaged one"):
        load_checkpoint(path)


def test_the_one_before_stays_when_the_next_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    Checkpoint({}, {"step": 1}).save(path)
    (tmp_path / "checkpoint.partial").mkdir()  # where the next one is to be written
    with pytest.raises(OSError, match="directory"):
        Checkpoint({}, {"step": 2}).save(path)
    (tmp_path / "checkpoint.partial").rmdir()
    kept = load_checkpoint(path)
    assert kept is not None
    assert kept.plain == {"step": 1}
