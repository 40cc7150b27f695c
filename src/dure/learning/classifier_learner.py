"""The training of a classifier from nothing: a linear machine with a squared hinge and a small net, side by side.

Knows bags of n-grams and their classes. N-grams are left out by chance in training, so that no few of them decide
alone. Source of that: Wang and Manning, "Fast dropout training", 2013.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from dure.dataset.example import LabelledText
from dure.device.context import parse_context
from dure.device.library import torch_device
from dure.errors import ValidationError
from dure.learning.bag_network import BagNetwork, buckets_of, num_buckets_for
from dure.learning.bag_network_fit import BagNetworkFit, Batch
from dure.learning.calibration import fit_temperature
from dure.learning.checkpoint import below
from dure.learning.classifier import Mixture, NgramClassifier, NgramWeights
from dure.learning.recipe import Recipe
from dure.learning.vocabulary import Vocabulary

_EPOCHS = 10
_BATCH_SIZE = 32
_LEARNING_RATE = 6.0
_BIAS_RATE = 0.1
"""The bias stands in every text and learns so much slower."""
_DROPOUT = 0.5
_FEW_TEXTS = 500
"""In fewer texts, an n-gram that was seen once tells something."""
_MAX_NGRAMS = 500_000
_MAX_WEIGHTS = 9_000_000
"""Of n-grams times labels: 36 MB."""
_NETWORK_SHARE = 0.5
"""How much the net counts beside the linear machine, once both are calibrated. More lowers the scores."""

Numbers = NDArray[np.int64]


class ClassifierLearner:
    """See `dure.learning.learner.Learner`.

    Args:
        recipe: How.
        train: What is learnt from.
        validation: What validates.

    Raises:
        ValidationError: One class only, or none; or nothing to validate with.
        DeviceNotFound: The recipe's device is not there.
    """

    def __init__(self, recipe: Recipe, train: Sequence[LabelledText], validation: Sequence[LabelledText]) -> None:
        self.labels = tuple(sorted({example.label for example in train}))
        if len(self.labels) < 2:
            raise ValidationError(f"a classifier tells classes apart: {len(self.labels)} in the {len(train)} texts")
        numbers = {label: number for number, label in enumerate(self.labels)}
        known = [example for example in validation if example.label in numbers]
        if not known:
            raise ValidationError(f"none of the {len(validation)} texts that validate has a class that is learnt from")
        self._recipe = recipe
        self._device = torch.device(torch_device(parse_context(recipe.device)))
        self._vocabulary, self._bags = Vocabulary.of(
            [example.text for example in train],
            min_count=1 if len(train) < _FEW_TEXTS else 2,
            max_size=min(_MAX_NGRAMS, _MAX_WEIGHTS // len(self.labels)),
        )
        self._gold = np.array([numbers[example.label] for example in train])
        self._validation = self._vocabulary.bags([example.text for example in known])
        self._validation_gold = torch.tensor([numbers[example.label] for example in known])
        self._importance = self._importance_of_rows()
        self._rarity = self._rarity_of_ngrams()
        self._weights = torch.zeros(len(self._vocabulary), len(self.labels), device=self._device)
        self._bias = torch.zeros(len(self.labels), device=self._device)
        self.batch_size = recipe.batch_size or _BATCH_SIZE
        self.steps_per_epoch = math.ceil(len(train) / (self.batch_size * recipe.accumulate))
        self.num_steps = self.steps_per_epoch * (recipe.epochs or _EPOCHS)
        num_buckets = num_buckets_for(len(self._vocabulary))
        buckets = buckets_of(self._vocabulary.keys, num_buckets).to(self._device)
        self._network = BagNetworkFit(buckets, num_buckets, len(self.labels), recipe.seed)
        self._order = lru_cache(maxsize=1)(self._order_of)

    def step(self, number: int) -> float:
        """Take one step; see `Learner`."""
        epoch, place = divmod(number, self.steps_per_epoch)
        size = self.batch_size * self._recipe.accumulate
        rows = self._order(epoch)[place * size : (place + 1) * size]
        chance = np.random.default_rng((self._recipe.seed, 1, number))
        of_net = np.random.default_rng((self._recipe.seed, 2, number))
        passes = range(0, len(rows), self.batch_size)
        batches = [self._batch(rows[start : start + self.batch_size], chance) for start in passes]
        parts = [self._gradient(batch) for batch in batches]
        pulls = [self._network.pull(batch, of_net) for batch in batches]
        share = (1 - number / self.num_steps) * (self._recipe.learning_rate or _LEARNING_RATE) / _LEARNING_RATE
        rate = _LEARNING_RATE * share / len(rows)
        for batch, (gradient, slopes, _) in zip(batches, parts, strict=True):
            self._weights.index_add_(0, batch.ids, gradient, alpha=-rate)
            self._bias.add_(slopes.sum(0), alpha=-rate * _BIAS_RATE)
        self._network.move(pulls, len(rows), share)
        return sum(float(part[-1]) + pull.loss for part, pull in zip(parts, pulls, strict=True)) / len(rows)

    def validate(self) -> float:
        """Return the accuracy on the validation part."""
        _, logits = self._mixed()
        return float((logits.argmax(1) == self._validation_gold).float().mean())

    def state(self) -> dict[str, torch.Tensor]:
        """Return all that `step` reads and writes."""
        network = {f"network.{name}": tensor for name, tensor in self._network.state().items()}
        return {"weights": self._weights.clone(), "bias": self._bias.clone(), **network}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Go back to where `state` was taken."""
        self.set_weights(state)
        self._network.restore(below("network.", state))

    def weights(self) -> dict[str, torch.Tensor]:
        """Return what a validation score belongs to."""
        network = {f"network.{name}": tensor for name, tensor in self._network.weights().items()}
        return {"weights": self._weights.clone(), "bias": self._bias.clone(), **network}

    def set_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Make these the weights."""
        self._weights.copy_(weights["weights"])
        self._bias.copy_(weights["bias"])
        self._network.set_weights(below("network.", weights))

    def calibrate(self) -> dict[str, float]:
        """Return the weight of the net, and the temperature that fits the validation part best."""
        weight, logits = self._mixed()
        return asdict(Mixture(weight, fit_temperature(logits, self._validation_gold)))

    def finish(self, calibration: dict[str, float] | None = None) -> NgramClassifier:
        """Return the model, calibrated."""
        return self._model(Mixture(**(calibration or self.calibrate())))

    def _mixed(self) -> tuple[float, torch.Tensor]:
        """Return the net's weight, by which it is as sure as the linear machine, and what both say on validation."""
        linear, network = self._model(Mixture()).parts_of(self._validation)
        gold = self._validation_gold
        weight = _NETWORK_SHARE * fit_temperature(linear, gold) / fit_temperature(network, gold)
        return weight, linear + weight * network

    def _batch(self, rows: Numbers, chance: np.random.Generator) -> Batch:
        """Return the n-grams of rows, some of them left out by chance."""
        bags = self._bags.take(rows)
        lengths = np.diff(bags.starts)
        owners = torch.from_numpy(np.repeat(np.arange(len(rows)), lengths)).to(self._device)
        kept = torch.from_numpy(chance.random(len(bags.ids), np.float32) >= _DROPOUT).to(self._device)
        ids = torch.from_numpy(bags.ids).to(self._device)
        values = self._rarity[ids]
        squares = torch.zeros(len(rows), device=self._device).index_add_(0, owners, values**2)
        values = values * kept / (1 - _DROPOUT) / squares.clamp(min=1e-12).sqrt()[owners]
        starts, gold = torch.from_numpy(bags.starts), torch.from_numpy(self._gold[rows])
        importance = self._importance[torch.from_numpy(rows)]
        return Batch(ids.long(), owners, values, *(part.to(self._device) for part in (starts, gold, importance)))

    def _gradient(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the gradients of the weights of a batch's n-grams, those of the bias, and the sum of losses."""
        scores = torch.nn.functional.embedding_bag(
            batch.ids,
            self._weights,
            batch.starts,
            mode="sum",
            per_sample_weights=batch.values,
            include_last_offset=True,
        )
        signs = -torch.ones_like(scores)
        signs[torch.arange(len(scores), device=self._device), batch.gold] = 1.0
        misses = (1 - signs * (scores + self._bias)).clamp(min=0)  # how far short of the right side of each class
        importance = batch.importance.unsqueeze(1)
        slopes = -signs * misses * importance
        return slopes[batch.owners] * batch.values.unsqueeze(1), slopes, (misses**2 * importance).sum() / 2

    def _model(self, mixture: Mixture) -> NgramClassifier:
        weights = NgramWeights(self._rarity, self._weights.clone(), self._bias.clone())
        network = BagNetwork(**self._network.weights())
        network.table.copy_(network.table.half())  # as it will be saved, so that what is loaded again says the same
        return NgramClassifier(self._vocabulary, weights, network, self.labels, mixture)

    def _rarity_of_ngrams(self) -> torch.Tensor:
        counts = np.bincount(self._bags.ids, minlength=len(self._vocabulary))
        rarity = np.log((1 + len(self._gold)) / (1 + counts)) + 1
        return torch.from_numpy(rarity.astype(np.float32)).to(self._device)

    def _importance_of_rows(self) -> torch.Tensor:
        """Return how much every row counts, 1 on average."""
        if self._recipe.class_weights == "none":
            return torch.ones(len(self._gold))
        counts = np.bincount(self._gold)
        return torch.from_numpy((len(self._gold) / (len(counts) * counts[self._gold])).astype(np.float32))

    def _order_of(self, epoch: int) -> Numbers:
        return np.random.default_rng((self._recipe.seed, 0, epoch)).permutation(len(self._gold))
