"""A transformer computed by ONNX Runtime on the CPU.

Knows sessions and threads; how the file comes to be is `onnx_export.py`'s.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from dure.deps import require
from dure.device.cores import usable_cores
from dure.errors import ModelError
from dure.nlp.onnx_export import INPUTS
from dure.nlp.onnx_file import onnx_file
from dure.nlp.precision import Computing

THREADS_VARIABLE = "OMP_NUM_THREADS"
_ERRORS_ONLY = 3


class OnnxTransformer:
    """See `dure.nlp.transformer.Transformer`.

    Args:
        folder: A complete snapshot, or one that carries its ONNX file.
        computing: The precision, and where the exported file is kept.

    Raises:
        ModelError: The model cannot be exported, or the exported file cannot be read.
        MissingDependency: onnxruntime is not installed, or what makes the file.
    """

    def __init__(self, folder: Path, computing: Computing) -> None:
        self._runtime = require("onnxruntime", "onnx")
        found = onnx_file(folder, computing)
        self._session = _session(self._runtime, Path(found.path))
        self.hidden_size, self.max_tokens, self.pad_id = found.hidden_size, found.max_tokens, found.pad_id

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return the hidden states."""
        hidden: np.ndarray = self._session.run(None, dict(zip(INPUTS, (ids, mask), strict=True)))[0]
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
