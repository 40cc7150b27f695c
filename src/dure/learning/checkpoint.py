"""A checkpoint: one file that holds where a training stands, and appears by one rename.

Knows tensors by name and plain values beside them; not what they mean. Safetensors and JSON, no pickles.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dure.deps import require
from dure.errors import ModelError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stands.

    Args:
        tensors: By name, on the host.
        plain: Values that JSON holds exactly.
    """

    tensors: "dict[str, torch.Tensor]"
    plain: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write it in place of the one before, which stays until this one is whole and on the disk.

        Raises:
            OSError: It could not be written; the one before is still there.
        """
        safetensors = require("safetensors.torch", "models")
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        partial = path.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                file.write(safetensors.save(tensors, {"plain": json.dumps(self.plain)}))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def load_checkpoint(path: Path) -> Checkpoint | None:
    """Return the checkpoint in a file, or None where there is no file.

    Raises:
        ModelError: The file is not a checkpoint, or is damaged.
    """
    safetensors = require("safetensors", "models")
    if not path.is_file():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Checkpoint(tensors, json.loads(file.metadata()["plain"]))
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} is no checkpoint, or a damaged one: {error}. Remove it to train from the start."
        ) from error


def below(prefix: str, tensors: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Return the tensors whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
