"""From a snapshot to a file for ONNX Runtime, made once and kept in a cache folder.

Reads safetensors, writes ONNX; asks no network. Knows nothing of sessions or of texts.
"""

import hashlib
import importlib.metadata
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dure.deps import require
from dure.errors import ModelError
from dure.log import get_logger
from dure.nlp.precision import Computing
from dure.nlp.snapshot import file_digest
from dure.nlp.torch_transformer import keeps_fp32, load_model

INPUTS = ("input_ids", "attention_mask")
_OUTPUT = "hidden"
_OPSET = 17
_FUSED = "bert"  # the layers that ONNX Runtime's optimizer is to look for; what it does not find stays as it is


def default_cache_folder() -> Path:
    """Return the user's cache: `$XDG_CACHE_HOME/dure/onnx`, or `~/.cache/dure/onnx`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dure" / "onnx"


def exported(folder: Path, computing: Computing) -> Path:
    """Return the ONNX file of a snapshot, made now if it is not there yet.

    Its name holds the digest of the weights and config.json, the precision and dure's version. It appears whole or not
    at all, so that processes that start at once do not disturb each other.

    Raises:
        ModelError: It cannot be exported, or the folder cannot be written to.
        MissingDependency: The extra `onnx` is not installed.
    """
    cache = Path(computing.cache_folder).expanduser() if computing.cache_folder else default_cache_folder()
    path = cache / f"{_digest(folder)}-{computing.precision}-dure-{importlib.metadata.version('dure')}.onnx"
    if path.is_file():
        return path
    require("onnx", "onnx")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=cache) as scratch:
            made = _made(folder, Path(scratch), computing.precision)
            made.replace(path)
    except OSError as error:
        raise ModelError(f"{cache}: the ONNX file cannot be kept there: {error}. Pass another cache_folder.") from error
    get_logger("onnx").info("exported %s to %s", folder, path)
    return path


def _digest(folder: Path) -> str:
    files = sorted([*folder.glob("*.safetensors"), folder / "config.json"])
    whole = hashlib.sha256("".join(file_digest(path) for path in files).encode())
    return whole.hexdigest()[:32]


def _made(folder: Path, scratch: Path, precision: str) -> Path:
    model = load_model(folder)
    num_layers = int(getattr(model.config, "num_hidden_layers", 0))
    traced, fused, small = (scratch / f"{name}.onnx" for name in ("traced", "fused", "small"))
    with _quiet():
        try:
            _trace(model, traced)
        except (RuntimeError, ValueError, TypeError) as error:
            raise ModelError(f"{folder}: PyTorch cannot export it to ONNX: {error}. Use backend='torch'.") from error
        _fuse(traced, fused, model.config)
        if precision == "int8":
            _quantise(fused, small, num_layers)
    return small if precision == "int8" else fused


def _trace(model: Any, path: Path) -> None:
    torch = require("torch", "models")
    # Written out, step by step, attention is a pattern that the optimizer knows.
    model.set_attn_implementation("eager")

    class Hidden(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: Any, mask: Any) -> Any:
            return self.model(input_ids=ids, attention_mask=mask).last_hidden_state

    ids = torch.full((2, 7), int(model.config.pad_token_id or 0) + 1)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    axes = {name: {0: "rows", 1: "tokens"} for name in (*INPUTS, _OUTPUT)}
    names = {"input_names": list(INPUTS), "output_names": [_OUTPUT], "dynamic_axes": axes}
    # The older exporter: ten times faster, it needs no onnxscript, and what it writes is what the optimizer knows.
    torch.onnx.export(Hidden(), (ids, mask), str(path), opset_version=_OPSET, dynamo=False, **names)


def _fuse(source: Path, target: Path, config: Any) -> None:
    optimizer = require("onnxruntime.transformers.optimizer", "onnx")
    sizes = {"num_heads": config.num_attention_heads, "hidden_size": config.hidden_size}
    optimizer.optimize_model(str(source), model_type=_FUSED, opt_level=0, **sizes).save_model_to_file(str(target))


def _quantise(source: Path, target: Path, num_layers: int) -> None:
    onnx, quantisation = require("onnx", "onnx"), require("onnxruntime.quantization", "onnx")
    nodes = onnx.load(str(source)).graph.node
    quantisation.quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul", "Attention"],
        per_channel=True,
        weight_type=quantisation.QuantType.QInt8,
        nodes_to_exclude=[node.name for node in nodes if keeps_fp32(node.name, num_layers)],
        extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what exporters say to their makers from whoever starts a Flow."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
