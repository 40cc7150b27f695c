"""Texts to embeddings, with a model in the sentence-transformers format.

Gives the numbers of `SentenceTransformer.encode`, by the tokenizers and transformers libraries alone: importing
sentence-transformers takes half as long again and 110 MB more. Knows nothing of Documents, Executors or processes.
"""

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from dure.deps import require
from dure.errors import SpecError, ValidationError
from dure.executor.stages import stage
from dure.nlp.computation import load_computation
from dure.nlp.length_groups import GroupLimits, group_by_length
from dure.nlp.precision import Computing
from dure.nlp.sentence_config import SentenceConfig

if TYPE_CHECKING:
    from pathlib import Path

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
        self._config = config
        self._tokenizer = _load_tokenizer(folder, config)
        self._computation = load_computation(folder, config, device, computing or Computing())
        self._transformer = self._computation.transformer
        if config.max_length > self._transformer.max_tokens:
            most = self._transformer.max_tokens
            raise SpecError(f"max_length: the model takes at most {most} tokens, not {config.max_length}")
        self._limits = _limits(batch_size, is_on_gpu=self._computation.is_on_gpu)

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
        with self._computation.session():
            # On a GPU all groups are under way before the first result is waited for: one copy brings them all.
            parts = [
                self._computation.embed(*self._padded([tokens[row] for row in rows], lengths[rows])) for rows in groups
            ]
            embeddings[np.concatenate(groups)] = self._computation.gather(parts)
        return embeddings

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

    def _padded(self, tokens: list[list[int]], lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mask = np.arange(lengths.max()) < lengths[:, None]  # (rows, tokens)
        padded = np.full(mask.shape, self._transformer.pad_id, np.int64)
        padded[mask] = np.fromiter(chain.from_iterable(tokens), np.int64, int(lengths.sum()))
        return padded, mask.astype(np.int64)


def _limits(batch_size: int | None, *, is_on_gpu: bool) -> GroupLimits:
    # On a CPU a call costs as much as some dozen tokens, and more at once than fits the caches gains nothing. On a GPU
    # it costs as much as thousands, and small groups leave the device idle.
    if not is_on_gpu:
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


def _not_unicode(texts: Sequence[object]) -> str:
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            return f"texts[{row}]: a text is a str, not {type(text).__name__}: {text!r:.80}"
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return f"texts[{row}]: no valid Unicode: {error}"
    return "texts: the tokenizer does not take them"
