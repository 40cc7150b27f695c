"""A transformer computed by ONNX Runtime on the CPU.

Knows sessions and threads; how the file comes to be is `onnx_export.py`'s.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dure.deps import require
from dure.device.cores import usable_cores
from dure.errors import ModelError
from dure.nlp.onnx_export import INPUTS, exported
from dure.nlp.precision import Computing
from dure.nlp.torch_transformer import token_limits

if TYPE_CHECKING:
    import torch

THREADS_VARIABLE = "OMP_NUM_THREADS"
_ERRORS_ONLY = 3


class OnnxTransformer:
    """See `dure.nlp.transformer.Transformer`.

    Args:
        folder: A complete snapshot.
        computing: The precision, and where the exported file is kept.

    Raises:
        ModelError: The model cannot be exported, or the exported file cannot be read.
        MissingDependency: The extra `onnx` or `models` is not installed.
    """

    def __init__(self, folder: Path, computing: Computing) -> None:
        self._runtime = require("onnxruntime", "onnx")
        self._torch = require("torch", "models")
        path = exported(folder, computing)
        self._session = _session(self._runtime, path)
        config = require("transformers", "models").AutoConfig.from_pretrained(folder, local_files_only=True)
        self.hidden_size = int(config.hidden_size)
        self.max_tokens, self.pad_id = token_limits(config)

    def __call__(self, ids: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        """Return the hidden states."""
        found = self._session.run(None, dict(zip(INPUTS, (ids.numpy(), mask.numpy()), strict=True)))
        hidden: torch.Tensor = self._torch.from_numpy(found[0])
        return hidden


def num_threads() -> int:
    """Return how many threads may compute: OMP_NUM_THREADS where it is a number, else the cores of this process."""
    told = os.environ.get(THREADS_VARIABLE, "").partition(",")[0].strip()
    return max(1, int(told)) if told.isdecimal() else usable_cores()


def _session(runtime: Any, path: Path) -> Any:
    runtime.disable_telemetry_events()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = num_threads()
    options.log_severity_level = _ERRORS_ONLY
    # Every group of texts has a shape of its own, so what is remembered of a shape is never used again.
    options.enable_mem_pattern = False
    # Threads that wait by spinning take the core from whoever shares it: replicas, the tokenizer, PyTorch's pooling.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    errors = runtime.capi.onnxruntime_pybind11_state
    try:
        return runtime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
    except (errors.Fail, errors.InvalidGraph, errors.InvalidProtobuf, errors.NotImplemented) as error:
        raise ModelError(f"{path}: ONNX Runtime cannot use it: {error}. Delete it, and it is made again.") from error
