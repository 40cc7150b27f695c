"""A model's folder: model.json, which says what the model is, and its weights in safetensors.

Knows files, and how they are told to be damaged; not what settings and tensors mean. No code, no pickles.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dure.deps import require
from dure.errors import ModelError
from dure.learning.model import MODEL_FILE, WEIGHTS_FILE

if TYPE_CHECKING:
    import torch

FORM = 1
"""The form of model.json and of the weights; another number is another form."""


def write_model(folder: Path, kind: str, description: dict[str, Any], weights: "dict[str, torch.Tensor]") -> None:
    """Write a model into an existing folder.

    Args:
        folder: Where.
        kind: Which class loads it again.
        description: Labels and settings, as JSON holds them.
        weights: By name; on any device.
    """
    safetensors = require("safetensors.torch", "models")
    whole = {"kind": kind, "form": FORM, **description}
    text = json.dumps(whole, ensure_ascii=False, indent=1)
    (folder / MODEL_FILE).write_text(text, encoding="utf-8")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    safetensors.save_file(tensors, folder / WEIGHTS_FILE)


def read_model(folder: Path) -> dict[str, Any]:
    """Return what model.json says.

    Raises:
        ModelError: It is missing, damaged or of another form.
    """
    path = folder / MODEL_FILE
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        form = description["form"]
        if not isinstance(description["kind"], str):
            raise TypeError("kind is no text")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} does not say what the model is: {error!r}") from error
    if form != FORM:
        raise ModelError(f"{path} is of form {form!r}; this version of dure reads form {FORM}")
    return dict(description)


def read_weights(folder: Path) -> "dict[str, torch.Tensor]":
    """Return the weights, on the host.

    Raises:
        ModelError: They are missing or damaged.
    """
    safetensors = require("safetensors.torch", "models")
    path = folder / WEIGHTS_FILE
    try:
        tensors: dict[str, torch.Tensor] = safetensors.load_file(path)
    except (OSError, require("safetensors", "models").SafetensorError) as error:
        raise ModelError(f"{path} is missing or damaged: {error}") from error
    return tensors
