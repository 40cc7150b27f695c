"""What the arrays of a sentence model are computed with: PyTorch on a device, or numpy beside ONNX Runtime.

From token numbers to embeddings, group by group. numpy's needs no PyTorch. Knows nothing of texts or of Documents.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dure.deps import require
from dure.device.context import cpu, parse_context
from dure.device.library import place_of, torch_device
from dure.device.transfer import Move
from dure.executor.stages import stage
from dure.nlp.precision import Computing
from dure.nlp.sentence_config import SentenceConfig
from dure.nlp.transformer import Transformer, load_transformer

if TYPE_CHECKING:
    import torch


class Computation(Protocol):
    """A transformer with what follows it.

    Attributes:
        transformer: The one.
        is_on_gpu: Whether a call costs much and many texts at once cost little.
    """

    transformer: Transformer
    is_on_gpu: bool

    def session(self) -> AbstractContextManager[Any]:
        """Return what calls are made in."""
        ...

    def embed(self, ids: np.ndarray, mask: np.ndarray) -> Any:
        """Begin to compute the embeddings of a group.

        Args:
            ids: Token numbers, `(rows, tokens) int64`.
            mask: 1 where there is a token, 0 where there is padding, `(rows, tokens) int64`.
        """
        ...

    def gather(self, parts: Sequence[Any]) -> np.ndarray:
        """Return what `embed` has begun, group after group, `(rows, dimension) float32`."""
        ...


def load_computation(folder: Path, config: SentenceConfig, device: object, computing: Computing) -> Computation:
    """Load the one that `computing` names.

    Raises:
        DeviceNotFound: The device does not exist, or PyTorch cannot use it.
        SpecError: This backend, precision and device do not go together.
        ModelError: The weights do not fit the model's config.json, or cannot be exported.
        MissingDependency: A library of the backend is not installed.
    """
    if computing.backend == "onnx":
        return _NumpyComputation(folder, config, device, computing)
    return _TorchComputation(folder, config, device, computing)


class _TorchComputation:
    def __init__(self, folder: Path, config: SentenceConfig, device: object, computing: Computing) -> None:
        self._torch = require("torch", "models")
        self._config = config
        self._place = place_of(device, "torch")
        self._device = self._torch.device(torch_device(device))
        self.is_on_gpu = self._device.type != "cpu"
        self.transformer = load_transformer(folder, self._place.context, computing)
        self._pool = _TORCH_POOLINGS[config.pooling]

    def session(self) -> AbstractContextManager[Any]:
        mode: AbstractContextManager[Any] = self._torch.inference_mode()
        return mode

    def embed(self, ids: np.ndarray, mask: np.ndarray) -> "torch.Tensor":
        with self._transfer():
            tokens, seen = self._enter(ids), self._enter(mask)
        with stage("model"):
            hidden = self.transformer(tokens, seen)
            pooled = self._pool(hidden, seen.unsqueeze(-1))  # (rows, dimension)
            if self._config.normalize:
                pooled = self._torch.nn.functional.normalize(pooled, dim=-1)
        return pooled

    def gather(self, parts: Sequence["torch.Tensor"]) -> np.ndarray:
        with stage("model"):
            whole = self._torch.cat(tuple(parts))
            # The copy that follows would wait too, but this time is the model's. Other threads' work is not waited for.
            if self._device.type == "cuda":
                self._torch.cuda.current_stream(self._device).synchronize()
        with self._transfer():
            leave = Move(self._place.context, cpu(), whole.nbytes, self._place.settle)
            found: np.ndarray = leave.make(lambda: whole.cpu().numpy())
        return found

    def _enter(self, array: np.ndarray) -> "torch.Tensor":
        # Not settled around, or else the device would idle while the next group is made ready.
        enter = Move(cpu(), self._place.context, array.nbytes)
        tensor: torch.Tensor = enter.make(lambda: self._torch.from_numpy(array).to(self._device))
        return tensor

    @contextmanager
    def _transfer(self) -> Iterator[None]:
        """Count a stage of its own where there is a way to go."""
        if self._place.context == cpu():
            yield
            return
        with stage("transfer"):
            yield


class _NumpyComputation:
    is_on_gpu = False

    def __init__(self, folder: Path, config: SentenceConfig, device: object, computing: Computing) -> None:
        self._normalize = config.normalize
        self.transformer = load_transformer(folder, parse_context(device), computing)
        self._pool = _NUMPY_POOLINGS[config.pooling]

    def session(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def embed(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        with stage("model"):
            pooled = self._pool(self.transformer(ids, mask), mask)  # (rows, dimension)
            if self._normalize:
                pooled /= np.maximum(np.linalg.norm(pooled, axis=-1, keepdims=True), 1e-12)
        return pooled

    def gather(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate(parts)


def _torch_mean(hidden: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
    return (hidden * mask).sum(1) / mask.sum(1)  # every text has its special tokens: never 0


def _torch_cls(hidden: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
    return hidden[:, 0]


def _torch_max(hidden: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
    return hidden.masked_fill(mask == 0, float("-inf")).amax(1)


def _numpy_mean(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    weights = (mask / mask.sum(1, keepdims=True)).astype(np.float32)  # (rows, tokens)
    pooled: np.ndarray = np.matmul(weights[:, None, :], hidden)[:, 0]
    return pooled


def _numpy_cls(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return hidden[:, 0].copy()


def _numpy_max(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    pooled: np.ndarray = np.where(mask[:, :, None] == 0, -np.inf, hidden).max(1)
    return pooled.astype(np.float32)


_TORCH_POOLINGS: dict[str, Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]] = {
    "mean": _torch_mean,
    "cls": _torch_cls,
    "max": _torch_max,
}
_NUMPY_POOLINGS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": _numpy_mean,
    "cls": _numpy_cls,
    "max": _numpy_max,
}
