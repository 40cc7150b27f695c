"""Texts to embeddings, with a model in the sentence-transformers format.

Gives the numbers of `SentenceTransformer.encode`, by the tokenizers and transformers libraries alone: importing
sentence-transformers takes half as long again and 110 MB more. Knows nothing of Documents, Executors or processes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from dure.deps import require
from dure.device.context import cpu
from dure.device.library import place_of, torch_device
from dure.device.transfer import Move
from dure.errors import SpecError, ValidationError
from dure.executor.stages import stage
from dure.nlp.length_groups import GroupLimits, group_by_length
from dure.nlp.precision import Computing
from dure.nlp.sentence_config import SentenceConfig
from dure.nlp.transformer import load_transformer

if TYPE_CHECKING:
    from pathlib import Path

    import torch

# No word of a language has as many characters to a token: what is further back than this is never seen by the model.
_CHARACTERS_PER_TOKEN = 64


class SentenceModel:
    """A tokenizer, a transformer and a pooling, on one device.

    Args:
        folder: A complete snapshot.
        config: How tokens become one embedding.
        device: Where it lives, a `Context` or its name.
        batch_size: Most texts that go through the model together; as the device likes it, if not given.
        computing: By which library the transformer runs, and in which precision; PyTorch in fp32, if not given.

    Raises:
        DeviceNotFound: The device does not exist, or PyTorch cannot use it.
        ModelError: The weights do not fit the model's config.json.
        SpecError: `max_length` is not one that the model can take, or `computing` not one that the device can do.
        MissingDependency: The extra `models` is not installed, or that of the backend.
    """

    def __init__(
        self,
        folder: "Path",
        config: SentenceConfig,
        device: object,
        batch_size: int | None = None,
        computing: Computing | None = None,
    ) -> None:
        self._torch = require("torch", "models")
        self._config = config
        self._place = place_of(device, "torch")
        self._device = self._torch.device(torch_device(device))
        self._tokenizer = _load_tokenizer(folder, config)
        self._transformer = load_transformer(folder, self._place.context, computing or Computing())
        if config.max_length > self._transformer.max_tokens:
            most = self._transformer.max_tokens
            raise SpecError(f"max_length: the model takes at most {most} tokens, not {config.max_length}")
        self._pool = _POOLINGS[config.pooling]
        self._limits = _limits(self._device.type, batch_size)

    @property
    def dimension(self) -> int:
        """Numbers of an embedding."""
        return self._transformer.hidden_size

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return the embeddings of texts, `(texts, dimension) float32`, in their order.

        A text of more than `max_length` tokens counts as far as it reaches; an empty one has an embedding too.

        Raises:
            ValidationError: A text that is no Unicode text.
        """
        with stage("tokenize"):
            tokens = self._tokens(texts)
        lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
        groups = group_by_length(lengths, self._limits)
        embeddings = np.empty((len(texts), self.dimension), np.float32)
        if not groups:
            return embeddings
        parts = []
        with self._torch.inference_mode():
            # On a GPU all groups are under way before the first result is waited for: one copy brings them all.
            for rows in groups:
                ids, mask = self._entered([tokens[row] for row in rows], lengths[rows])
                with stage("model"):
                    parts.append(self._embed(ids, mask))
            with stage("model"):
                whole = self._torch.cat(parts)
                self._finish()
            with self._transfer():
                leave = Move(self._place.context, cpu(), whole.nbytes, self._place.settle)
                embeddings[np.concatenate(groups)] = leave.make(lambda: whole.cpu().numpy())
        return embeddings

    def _enter(self, array: np.ndarray) -> "torch.Tensor":
        # Not settled around, or else the device would idle while the next group is made ready.
        enter = Move(cpu(), self._place.context, array.nbytes)
        tensor: torch.Tensor = enter.make(lambda: self._torch.from_numpy(array).to(self._device))
        return tensor

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        most = self._config.max_length
        clipped = [text[: most * _CHARACTERS_PER_TOKEN] for text in texts]
        try:
            tokens = [found.ids for found in self._tokenizer.encode_batch_fast(clipped)]
        except TypeError as error:
            raise ValidationError(_not_unicode(texts)) from error
        for row, (text, seen) in enumerate(zip(texts, clipped, strict=True)):
            if len(seen) < len(text) and len(tokens[row]) < most:
                # A million spaces, or one endless word: few tokens, so that what was clipped off may count.
                tokens[row] = self._tokenizer.encode(text).ids
        return tokens

    def _entered(self, tokens: list[list[int]], lengths: np.ndarray) -> "tuple[torch.Tensor, torch.Tensor]":
        mask = np.arange(lengths.max()) < lengths[:, None]  # (rows, tokens)
        padded = np.full(mask.shape, self._transformer.pad_id, np.int64)
        padded[mask] = np.fromiter(chain.from_iterable(tokens), np.int64, int(lengths.sum()))
        with self._transfer():
            return self._enter(padded), self._enter(mask.astype(np.int64))

    def _embed(self, ids: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        hidden = self._transformer(ids, mask)
        pooled = self._pool(hidden, mask.unsqueeze(-1))  # (rows, dimension)
        if self._config.normalize:
            pooled = self._torch.nn.functional.normalize(pooled, dim=-1)
        return pooled

    def _finish(self) -> None:
        # The copy that follows would wait too, but this time is the model's. Other threads' work is not waited for.
        if self._device.type == "cuda":
            self._torch.cuda.current_stream(self._device).synchronize()

    @contextmanager
    def _transfer(self) -> Iterator[None]:
        """Count a stage of its own where there is a way to go."""
        if self._place.context == cpu():
            yield
            return
        with stage("transfer"):
            yield


def _limits(device_type: str, batch_size: int | None) -> GroupLimits:
    # On a CPU a call costs as much as some dozen tokens, and more at once than fits the caches gains nothing. On a GPU
    # it costs as much as thousands, and small groups leave the device idle.
    if device_type == "cpu":
        return GroupLimits(max_waste=64, max_tokens=2048, max_rows=batch_size or 256)
    return GroupLimits(max_waste=4096, max_tokens=2**16, max_rows=batch_size or 4096)


def _load_tokenizer(folder: "Path", config: SentenceConfig) -> Any:
    tokenizers = require("tokenizers", "models")
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    if config.max_length <= special:
        raise SpecError(
            f"max_length: {special} of a text's tokens are special ones, so at least {special + 1} are needed,"
            f" not {config.max_length}"
        )
    tokenizer.no_padding()
    tokenizer.enable_truncation(config.max_length)
    if config.lowercase:
        steps = [tokenizers.normalizers.Lowercase(), tokenizer.normalizer]
        tokenizer.normalizer = tokenizers.normalizers.Sequence([step for step in steps if step])
    return tokenizer


def _mean(hidden: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
    return (hidden * mask).sum(1) / mask.sum(1)  # every text has its special tokens: never 0


def _cls(hidden: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
    return hidden[:, 0]


def _max(hidden: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
    return hidden.masked_fill(mask == 0, float("-inf")).amax(1)


_POOLINGS: dict[str, Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]] = {
    "mean": _mean,
    "cls": _cls,
    "max": _max,
}


def _not_unicode(texts: Sequence[object]) -> str:
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            return f"texts[{row}]: a text is a str, not {type(text).__name__}: {text!r:.80}"
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return f"texts[{row}]: no valid Unicode: {error}"
    return "texts: the tokenizer does not take them"
