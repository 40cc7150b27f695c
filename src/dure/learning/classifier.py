"""A classifier trained from nothing: a weight for every n-gram and class, summed over a text, and a small net.

Knows vocabularies and tables of weights; not how the weights were found.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch

from dure.dataset.dataset import Task
from dure.device.context import Context
from dure.device.library import torch_device
from dure.errors import ModelError
from dure.learning.bag_network import BagNetwork, buckets_of
from dure.learning.checkpoint import below
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


@dataclass(frozen=True)
class Mixture:
    """How weights and net together become probabilities.

    Args:
        network_weight: What the net's logits are multiplied by before they are added.
        temperature: What the sums are divided by to be calibrated.
    """

    network_weight: float = 1.0
    temperature: float = 1.0


class NgramClassifier:
    """See `dure.learning.model.Model`. Of a text, the first `MAX_CHARACTERS` of `dure.learning.ngrams` count.

    Args:
        vocabulary: The n-grams that it knows.
        weights: What it learnt of them, on its device.
        network: What it learnt of how they go together, on its device. The table is saved in half precision.
        labels: The classes, sorted.
        mixture: How the two become probabilities.
    """

    kind: ClassVar[str] = "ngram-classifier"
    task: ClassVar[Task] = "tc"

    def __init__(
        self,
        vocabulary: Vocabulary,
        weights: NgramWeights,
        network: BagNetwork,
        labels: tuple[str, ...],
        mixture: Mixture | None = None,
    ) -> None:
        self.labels = labels
        self._vocabulary = vocabulary
        self._weights = weights
        self._network = network
        self._buckets = buckets_of(vocabulary.keys, len(network.table)).to(weights.rarity.device)
        self.mixture = mixture or Mixture()
        # The last column adds up to the square of a text's length, so that one pass over the table does both.
        rarity = weights.rarity.unsqueeze(1)
        self._table = torch.cat([rarity * weights.weights, rarity**2], 1)

    def predict(self, texts: Sequence[str], batch_size: int | None = None) -> list[Classification]:
        """Return the class of every text."""
        size = batch_size or _BATCH_SIZE
        answers: list[Classification] = []
        for start in range(0, len(texts), size):
            shares = torch.softmax(self.logits(texts[start : start + size]) / self.mixture.temperature, 1)
            best = shares.argmax(1).tolist()
            answers += [
                Classification(self.labels[at], row[at], dict(zip(self.labels, row, strict=True)))
                for at, row in zip(best, shares.tolist(), strict=True)
            ]
        return answers

    def logits(self, texts: Sequence[str]) -> torch.Tensor:
        """Return what is said before calibration, `(texts, labels) float32` on the host."""
        linear, network = self.parts_of(self._vocabulary.bags(texts))
        return linear + self.mixture.network_weight * network

    @torch.inference_mode()
    def parts_of(self, bags: Bags) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what weights and net say of bags of n-grams, each `(texts, labels) float32` on the host."""
        device = self._table.device
        ids, starts = (torch.from_numpy(part).to(device) for part in (bags.ids, bags.starts.astype(np.int32)))
        net, texts = self._network, len(starts) - 1
        if not len(ids):
            return self._weights.bias.cpu().repeat(texts, 1), net.logits(net.bias.repeat(texts, 1)).cpu()
        sums = torch.nn.functional.embedding_bag(ids, self._table, starts, mode="sum", include_last_offset=True)
        lengths = sums[:, -1:].clamp(min=_TINY).sqrt()
        hidden = net.hidden(self._buckets[ids], self._weights.rarity[ids], starts, lengths)
        return (sums[:, :-1] / lengths + self._weights.bias).cpu(), net.logits(hidden).cpu()

    def save(self, folder: Path) -> None:
        """Write the model into an existing folder."""
        tensors = {
            "hashes": torch.from_numpy(self._vocabulary.keys.view(np.int64)),
            "rarity": self._weights.rarity,
            "weights": self._weights.weights,
            "bias": self._weights.bias,
            **{f"network.{name}": tensor for name, tensor in self._network.tensors().items()},
        }
        tensors["network.table"] = self._network.table.half()
        write_model(folder, self.kind, {"labels": self.labels, "mixture": asdict(self.mixture)}, tensors)

    @classmethod
    def load(cls, folder: Path, context: Context) -> Self:
        """Read what `save` wrote."""
        description, tensors = read_model(folder), read_weights(folder)
        try:
            labels = tuple(description["labels"])
            mixture = Mixture(**{name: float(value) for name, value in description["mixture"].items()})
            vocabulary = Vocabulary(tensors["hashes"].numpy().view(np.uint64))
            weights = NgramWeights(tensors["rarity"], tensors["weights"], tensors["bias"])
            shapes = [(len(vocabulary),), (len(vocabulary), len(labels)), (len(labels),)]
            if shapes != [tuple(tensor.shape) for tensor in (weights.rarity, weights.weights, weights.bias)]:
                raise ValueError("the sizes of n-grams, labels and weights differ")
            network = BagNetwork(**{name: tensor.float() for name, tensor in below("network.", tensors).items()})
            network.check(len(labels))
            device = torch.device(torch_device(context))
            return cls(vocabulary, weights.to(device), network.to(device), labels, mixture)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{folder}: the parts of the model do not fit each other: {error}") from error
