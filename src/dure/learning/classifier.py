"""A classifier trained from nothing: a weight for every n-gram and class, summed over a text.

Knows vocabularies and tables of weights; not how the weights were found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch

from dure.dataset.dataset import Task
from dure.device.context import Context
from dure.device.library import torch_device
from dure.errors import ModelError
from dure.learning.model_file import read_model, read_weights, write_model
from dure.learning.prediction import Classification
from dure.learning.vocabulary import Bags, Vocabulary

_BATCH_SIZE = 1024
_TINY = 1e-12


@dataclass(frozen=True)
class NgramWeights:
    """What was learnt of n-grams.

    Args:
        rarity: How much an n-gram counts, the more the rarer it is, `(n-grams,)`.
        weights: How much it speaks for each class, `(n-grams, labels)`.
        bias: What is said of an empty text, `(labels,)`.
    """

    rarity: torch.Tensor
    weights: torch.Tensor
    bias: torch.Tensor

    def to(self, device: torch.device) -> "NgramWeights":
        """Return the same on a device."""
        return NgramWeights(self.rarity.to(device), self.weights.to(device), self.bias.to(device))


class NgramClassifier:
    """See `dure.learning.model.Model`. Of a text, the first `MAX_CHARACTERS` of `dure.learning.ngrams` count.

    Args:
        vocabulary: The n-grams that it knows.
        weights: What it learnt of them, on its device.
        labels: The classes, sorted.
        temperature: What the numbers are divided by to be calibrated.
    """

    kind: ClassVar[str] = "ngram-classifier"
    task: ClassVar[Task] = "tc"

    def __init__(
        self, vocabulary: Vocabulary, weights: NgramWeights, labels: tuple[str, ...], temperature: float = 1.0
    ) -> None:
        self.labels = labels
        self._vocabulary = vocabulary
        self._weights = weights
        self._temperature = temperature
        # The last column adds up to the square of a text's length, so that one pass over the table does both.
        rarity = weights.rarity.unsqueeze(1)
        self._table = torch.cat([rarity * weights.weights, rarity**2], 1)

    def predict(self, texts: Sequence[str], batch_size: int | None = None) -> list[Classification]:
        """Return the class of every text."""
        size = batch_size or _BATCH_SIZE
        answers: list[Classification] = []
        for start in range(0, len(texts), size):
            shares = torch.softmax(self.logits(texts[start : start + size]) / self._temperature, 1)
            best = shares.argmax(1).tolist()
            answers += [
                Classification(self.labels[at], row[at], dict(zip(self.labels, row, strict=True)))
                for at, row in zip(best, shares.tolist(), strict=True)
            ]
        return answers

    def logits(self, texts: Sequence[str]) -> torch.Tensor:
        """Return what is said before calibration, `(texts, labels) float32` on the host."""
        return self.logits_of(self._vocabulary.bags(texts))

    def logits_of(self, bags: Bags) -> torch.Tensor:
        """Return what is said of bags of n-grams before calibration, `(texts, labels) float32` on the host."""
        device = self._table.device
        ids, starts = (torch.from_numpy(part).to(device) for part in (bags.ids, bags.starts.astype(np.int32)))
        if not len(ids):
            return self._weights.bias.cpu().repeat(len(starts) - 1, 1)
        with torch.inference_mode():
            sums = torch.nn.functional.embedding_bag(ids, self._table, starts, mode="sum", include_last_offset=True)
            logits = sums[:, :-1] / sums[:, -1:].clamp(min=_TINY).sqrt() + self._weights.bias
        return logits.cpu()

    def save(self, folder: Path) -> None:
        """Write the model into an existing folder."""
        tensors = {
            "hashes": torch.from_numpy(self._vocabulary.keys.view(np.int64)),
            "rarity": self._weights.rarity,
            "weights": self._weights.weights,
            "bias": self._weights.bias,
        }
        write_model(folder, self.kind, {"labels": self.labels, "temperature": self._temperature}, tensors)

    @classmethod
    def load(cls, folder: Path, context: Context) -> Self:
        """Read what `save` wrote."""
        description, tensors = read_model(folder), read_weights(folder)
        try:
            labels, temperature = tuple(description["labels"]), float(description["temperature"])
            vocabulary = Vocabulary(tensors["hashes"].numpy().view(np.uint64))
            weights = NgramWeights(tensors["rarity"], tensors["weights"], tensors["bias"])
            shapes = [(len(vocabulary),), (len(vocabulary), len(labels)), (len(labels),)]
            if shapes != [tuple(tensor.shape) for tensor in (weights.rarity, weights.weights, weights.bias)]:
                raise ValueError("the sizes of n-grams, labels and weights differ")
            return cls(vocabulary, weights.to(torch.device(torch_device(context))), labels, temperature)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{folder}: the parts of the model do not fit each other: {error}") from error
