"""Which ONNX file stands for a snapshot: one that it carries in place of weights, or one that is exported and kept.

A carried one, `onnx/dure-<precision>.onnx`, has beside it what else is to be known of the model, so that neither
PyTorch nor transformers is needed to use it.
"""

from pathlib import Path

import msgspec

from dure.deps import require
from dure.errors import ModelError
from dure.nlp.onnx_export import exported
from dure.nlp.precision import Computing
from dure.nlp.torch_transformer import token_limits


class OnnxFile(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be known of an ONNX file.

    `max_tokens` and `pad_id` are those of `dure.nlp.transformer.Transformer`. `least_cosine`: of some sentences, the
    least cosine between an embedding by this file and one by PyTorch in fp32; None where it was not measured.
    """

    path: str = ""
    hidden_size: int
    max_tokens: int
    pad_id: int
    least_cosine: float | None = None


def carried_name(precision: str) -> str:
    """Return the name that a carried file has in its snapshot."""
    return f"onnx/dure-{precision}.onnx"


def about_name(precision: str) -> str:
    """Return the name of the file that tells of it."""
    return f"onnx/dure-{precision}.json"


def carried(folder: Path, precision: str) -> OnnxFile | None:
    """Return the file that a snapshot carries, if it does.

    Raises:
        ModelError: What tells of it is missing or damaged.
    """
    path, about = folder / carried_name(precision), folder / about_name(precision)
    if not path.is_file():
        return None
    try:
        found = msgspec.json.decode(about.read_bytes(), type=OnnxFile)
    except (OSError, msgspec.MsgspecError) as error:
        raise ModelError(f"{about}: cannot be read: {error}. Make it again: dure hub build --onnx") from error
    return msgspec.structs.replace(found, path=str(path))


def onnx_file(folder: Path, computing: Computing) -> OnnxFile:
    """Return the file that a snapshot carries, or the one that is made of its weights.

    Raises:
        ModelError: It cannot be exported, kept or read.
        MissingDependency: The extra `onnx` or `models` is not installed, and it is to be made.
    """
    found = carried(folder, computing.precision)
    if found is not None:
        return found
    path = exported(folder, computing)
    config = require("transformers", "models").AutoConfig.from_pretrained(folder, local_files_only=True)
    max_tokens, pad_id = token_limits(config)
    return OnnxFile(path=str(path), hidden_size=int(config.hidden_size), max_tokens=max_tokens, pad_id=pad_id)
