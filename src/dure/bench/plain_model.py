"""The encoding of sentences in plain PyTorch, with every setting that may make it faster as a switch.

A loop as anybody would write it, by transformers and tokenizers alone: what dure's own encoder is compared with. Knows
which stages there are; does not know how they are timed.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dure.bench.operations import ModelShape
from dure.bench.stages import StageTimes
from dure.bench.tokenizing import IN_LINE, Source, Tokens
from dure.deps import require
from dure.errors import ModelError
from dure.nlp.sentence_config import SentenceConfig

TOKENIZING, COPYING_IN, COMPUTING, COPYING_BACK = STAGES = ("tokenizing", "copying in", "computing", "copying back")


@dataclass(frozen=True, slots=True)
class Setting:
    """How the loop goes about it.

    Args:
        batch_size: Texts that go through the model together.
        dtype: Type of numbers: `float32`, `float16` or `bfloat16`.
        by_length: Whether texts of about the same length go together, so that little is padding.
        pinned: Whether batches lie in locked memory, from which a GPU copies while the host goes on.
        tokenizing: Where texts become tokens: `in line`, `in a thread` or `in processes`.
    """

    batch_size: int
    dtype: str = "float32"
    by_length: bool = False
    pinned: bool = False
    tokenizing: str = IN_LINE


class PlainModel:
    """A transformer with mean pooling, on one device, in one or more types of numbers.

    Args:
        folder: A complete snapshot.
        device: PyTorch's name of the device.

    Raises:
        MissingDependency: The extra `models` is not installed.
        ModelError: The model is no transformer with mean pooling.
    """

    def __init__(self, folder: Path, device: str) -> None:
        config = SentenceConfig.read(folder)
        if config.pooling != "mean":
            raise ModelError(f"{folder}: only models with mean pooling can be measured, not {config.pooling}.")
        self.device = device
        self.tokenizer_path = str(folder / "tokenizer.json")
        self.max_length = config.max_length
        self._normalize = config.normalize
        self._torch = require("torch", "models")
        self._loaded = _load(folder)
        self._by_dtype: dict[str, Any] = {}

    @property
    def shape(self) -> ModelShape:
        """The sizes of its layers."""
        config = self._loaded.config
        return ModelShape(config.num_hidden_layers, config.hidden_size, config.intermediate_size)

    def encode(self, texts: Sequence[str], setting: Setting, tokens: Source, stages: StageTimes) -> np.ndarray:
        """Return the embeddings of texts, `(texts, dimension) float32`, in their order.

        Args:
            texts: At least one.
            setting: How.
            tokens: What tokenizes.
            stages: What is told when a stage begins and ends.
        """
        order = in_order(texts, by_length=setting.by_length)
        starts = range(0, len(order), setting.batch_size)
        batches = [[texts[row] for row in order[at : at + setting.batch_size]] for at in starts]
        results = self._torch.empty((len(texts), self.shape.hidden_size), pin_memory=setting.pinned)
        with self._torch.inference_mode():
            for at, batch in zip(starts, stages.waiting_for(TOKENIZING, tokens(batches)), strict=True):
                self._run(batch, setting, results[at : at + len(batch.ids)], stages)
            if setting.pinned:
                self._torch.cuda.synchronize(self.device)
        embeddings = np.empty((len(texts), self.shape.hidden_size), np.float32)
        embeddings[order] = results.numpy()
        return embeddings

    def _run(self, batch: Tokens, setting: Setting, result: Any, stages: StageTimes) -> None:
        model = self._model(setting.dtype)
        with stages.on_device(COPYING_IN):
            ids, mask = (self._moved(array, pinned=setting.pinned) for array in batch)
        with stages.on_device(COMPUTING):
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()  # (texts, longest, dimension)
            weights = mask.unsqueeze(-1)
            pooled = (hidden * weights).sum(1) / weights.sum(1)  # (texts, dimension)
            if self._normalize:
                pooled = self._torch.nn.functional.normalize(pooled, dim=-1)
        with stages.on_device(COPYING_BACK):
            result.copy_(pooled, non_blocking=setting.pinned)

    def _moved(self, array: np.ndarray, *, pinned: bool) -> Any:
        tensor = self._torch.from_numpy(array)
        if pinned:
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def _model(self, dtype: str) -> Any:
        if dtype not in self._by_dtype:
            # Of the float32 weights each time: what is rounded once cannot be made exact again.
            self._by_dtype[dtype] = copy.deepcopy(self._loaded).to(self.device, getattr(self._torch, dtype))
        return self._by_dtype[dtype]


def in_order(texts: Sequence[str], *, by_length: bool) -> np.ndarray:
    """Return the rows in the order in which they are encoded; the longest first, or as they are."""
    if not by_length:
        return np.arange(len(texts))
    return np.argsort([-len(text) for text in texts], kind="stable")


def _load(folder: Path) -> Any:
    transformers = require("transformers", "models")
    with _quiet(transformers.utils.logging):
        try:
            model = transformers.AutoModel.from_pretrained(
                folder, dtype=require("torch", "models").float32, use_safetensors=True, local_files_only=True
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(f"{folder}: transformers cannot load it: {error}") from error
    return model.eval()


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
