"""A Hugging Face encoder with its tokenizer: texts to tokens and their places, tokens to hidden states.

Knows snapshots and how an encoder is kept in a model's folder; nothing of labels or training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from dure.deps import require
from dure.errors import ModelError, ValidationError
from dure.nlp.length_groups import GroupLimits, group_by_length
from dure.nlp.snapshot import resolve
from dure.nlp.torch_transformer import load_model, token_limits

TOKENIZER_FILE = "tokenizer.json"
MAX_TOKENS = 256
"""Tokens that are looked at together, in training and in prediction alike; fewer where the encoder takes fewer."""

# A call costs as much as some dozen tokens on a CPU, as thousands on a GPU.
_LIMITS = {
    "cpu": GroupLimits(max_waste=64, max_tokens=2048, max_rows=256),
    "cuda": GroupLimits(max_waste=4096, max_tokens=2**15, max_rows=1024),
}


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a text.

    Args:
        ids: Their numbers, with those of the special tokens.
        offsets: For each, its first character and the one behind its last; (0, 0) for special tokens.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]


class Encoder:
    """An encoder, on the host until its network is moved.

    Args:
        network: The transformer, as transformers has it.
        tokenizer: As tokenizers has it.
    """

    def __init__(self, network: torch.nn.Module, tokenizer: Any) -> None:
        self.network = network
        most, self.pad_id = token_limits(network.config)
        self.max_tokens = min(most, MAX_TOKENS)
        self.hidden_size = int(network.config.hidden_size)  # type: ignore[union-attr,arg-type]
        self._tokenizer = tokenizer
        tokenizer.no_padding()

    @classmethod
    def from_snapshot(cls, name: str) -> Self:
        """Return the encoder of a snapshot.

        Raises:
            ModelNotFound: It is not on this machine; lists where it was looked for.
            ModelError: Its weights do not fit its config.json.
            UnsafeModel: Its only weights are pickles.
        """
        snapshot = resolve(name)
        snapshot.verify()
        return cls(load_model(snapshot.folder), _tokenizer(snapshot.folder))

    @classmethod
    def from_folder(cls, folder: Path, config: dict[str, Any]) -> Self:
        """Return the encoder that `save` wrote, with random weights: those are set by whoever has them.

        Raises:
            ModelError: tokenizer.json is damaged, or the config is none.
        """
        transformers = require("transformers", "models")
        try:
            network = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**config))
            return cls(network, _tokenizer(folder))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{folder}: transformers cannot make the encoder: {error}") from error

    @property
    def config(self) -> dict[str, Any]:
        """What `from_folder` makes the network by."""
        config: dict[str, Any] = self.network.config.to_diff_dict()  # type: ignore[union-attr,operator]
        return {name: value for name, value in config.items() if name not in ("architectures", "transformers_version")}

    def save(self, folder: Path) -> None:
        """Write the tokenizer into a folder."""
        self._tokenizer.save(str(folder / TOKENIZER_FILE))

    def tokens(self, texts: Sequence[str], *, whole: bool = False) -> list[Tokens]:
        """Return the tokens of texts: as many as are looked at together, or all of them.

        Raises:
            ValidationError: A text that is no Unicode text.
        """
        if whole:
            self._tokenizer.no_truncation()
        else:
            self._tokenizer.enable_truncation(self.max_tokens)
        try:
            return [Tokens(found.ids, found.offsets) for found in self._tokenizer.encode_batch(list(texts))]
        except (TypeError, UnicodeEncodeError) as error:
            raise ValidationError(f"not every text is a Unicode text: {error}") from error

    def groups(self, tokens: Sequence[Sequence[int]], batch_size: int | None, device: torch.device) -> list[np.ndarray]:
        """Return which rows go through the network together: those of about one length."""
        limits = _LIMITS[device.type]
        if batch_size is not None:
            limits = GroupLimits(limits.max_waste, limits.max_tokens, batch_size)
        return group_by_length(np.fromiter(map(len, tokens), np.int64, len(tokens)), limits)

    def padded(self, tokens: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return numbers and mask of rows of tokens, `(rows, tokens) int64` each, on a device."""
        lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
        mask = np.arange(lengths.max()) < lengths[:, None]
        ids = np.full(mask.shape, self.pad_id, np.int64)
        ids[mask] = np.fromiter(chain.from_iterable(tokens), np.int64, int(lengths.sum()))
        return torch.from_numpy(ids).to(device), torch.from_numpy(mask.astype(np.int64)).to(device)


def _tokenizer(folder: Path) -> Any:
    tokenizers = require("tokenizers", "models")
    path = folder / TOKENIZER_FILE
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ModelError(f"{path} is no tokenizer, or a damaged one: {error}") from error
