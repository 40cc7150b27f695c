"""A tagger in training: steps of gradient descent on the likelihood of the true taggings.

Every step is a function of the state, the seed and its number, so a run that was broken off ends as an unbroken one.
Knows its own optimisers, schedule and default settings, which depend on the data alone. Does not know files,
checkpoints or when to stop early.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dure.dataset.example import Span, TaggedText
from dure.device.library import torch_device
from dure.errors import ValidationError
from dure.learning.dropout import Dropout, DropoutRates
from dure.learning.prediction import Entity
from dure.learning.recipe import Recipe
from dure.learning.scores import entity_scores
from dure.learning.tagger import CrfTagger
from dure.learning.tagger_decoding import Decoding, best_decoding
from dure.learning.tagger_network import (
    BITS,
    KnownFeatures,
    Layout,
    Sizes,
    TaggerNetwork,
    places,
)
from dure.learning.unit_features import naming_columns, unit_features
from dure.learning.unit_tags import unit_tags
from dure.learning.units import units_of
from dure.learning.windows import windows_of

_READERS, _DIM, _HIDDEN = 2, 64, 64
_FEATURE_DROPOUT, _NAME_DROPOUT, _VALUE_DROPOUT = 0.4, 0.3, 0.5
_LEARNING_RATE = 2e-3
_TABLE_FACTOR = 25.0  # how much faster the table learns: each of its rows is seldom used
_WARM_UP_STEPS, _LAST_SHARE = 50, 0.02
_MAX_GRADIENT = 5.0
_TRIED_BOLDNESS = (0.0, 0.75, 1.5)
_BATCHES_SORTED = 32  # batches whose texts are sorted by length among themselves
_COUNTED_TEXTS = 512


class TaggerLearner:
    """Trains a `CrfTagger`.

    Args:
        recipe: How.
        train: Texts to learn from. Types of entities are those seen here.
        validation: Texts to score and to calibrate on.

    Attributes:
        labels: Types of entities, sorted.
        num_widened: Entities to learn from with a border inside a unit, which are learnt as if they held all of it.
        num_left_out: Entities that cannot be learnt: of blanks only, or on a unit that another has.

    Raises:
        ValidationError: There is no entity to learn from.
        DeviceNotFound: The recipe's device is not there.
    """

    def __init__(self, recipe: Recipe, train: Sequence[TaggedText], validation: Sequence[TaggedText]) -> None:
        self._recipe = recipe
        self._parts = _parts(train)
        self._validation = list(validation)
        self._gold = [example.entities for example in validation]
        self.labels = tuple(sorted({span.type for _, spans in self._parts for span in spans}))
        if not self.labels:
            raise ValidationError(f"a tagger learns from entities: there are none in the {len(train)} texts")
        self._device = torch.device(torch_device(recipe.device))
        self.batch_size = recipe.batch_size or _batch_size(len(self._parts))
        self.steps_per_epoch = math.ceil(len(self._parts) / (self.batch_size * recipe.accumulate))
        self.num_steps = self.steps_per_epoch * (recipe.epochs or _epochs(len(self._parts)))
        self._lengths, counts, self.num_widened, self.num_left_out = self._survey()
        self._known = KnownFeatures.counted(counts, _min_count(int(self._lengths.sum())))
        self._network = self._new_network()
        self._sums = torch.zeros(_READERS, self._known.num_rows, device=self._device)
        rate = recipe.learning_rate or _LEARNING_RATE
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=rate)
        self._rate = rate
        self._order: tuple[int, list[Any]] = (-1, [])

    def step(self, number: int) -> float:
        """Take one step and return the mean negative log likelihood of a text."""
        epoch, within = divmod(number, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = epoch, self._batches(epoch)
        generator = torch.Generator(self._device).manual_seed(_seed(self._recipe.seed, number))
        dropout = Dropout(DropoutRates(_FEATURE_DROPOUT, _NAME_DROPOUT, _VALUE_DROPOUT), naming_columns(), generator)
        accumulate = self._recipe.accumulate
        batches = self._order[1][within * accumulate : (within + 1) * accumulate]
        texts = sum(map(len, batches))
        self._network.train()
        self._optimizer.zero_grad()
        pulls: list[tuple[Tensor, Tensor]] = []
        total = 0.0
        for batch in batches:
            used, part, loss = self._loss(batch, dropout)
            torch.autograd.backward(loss / texts)
            total += loss.item()
            pulls.append((used, part.grad if part.grad is not None else torch.zeros_like(part)))
        self._move(number, pulls)
        return total / texts

    def _loss(self, batch: Any, dropout: Dropout) -> tuple[Tensor, Tensor, Tensor]:
        units = units_of([self._parts[row][0] for row in batch])
        tags = unit_tags(units, [self._parts[row][1] for row in batch], self.labels).tags
        rows = self._known.rows(unit_features(units))
        # Row 0 comes first, so that in the part of the table, too, it is number 0.
        used, local = np.unique(np.append(rows, np.int32(0)), return_inverse=True)
        layout = Layout.of(torch.from_numpy(self._lengths[batch]).to(self._device))
        on_device = torch.from_numpy(used).to(self._device)
        part = self._network.table[:, on_device].requires_grad_()
        local_rows = torch.from_numpy(local[:-1].reshape(rows.shape)).to(self._device)
        emissions = self._network(local_rows, part, layout, dropout)
        gold = torch.zeros(len(emissions), len(batch), dtype=torch.int64, device=self._device)
        gold[layout.time, layout.sequence] = torch.from_numpy(tags).to(self._device)
        every = gold.repeat(1, _READERS), layout.lengths.repeat(_READERS)
        return on_device, part, -self._network.crf.log_likelihood(emissions, *every).sum() / _READERS

    def _move(self, number: int, pulls: list[tuple[Tensor, Tensor]]) -> None:
        share = self._schedule(number)
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), _MAX_GRADIENT)
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * share
        self._optimizer.step()
        with torch.no_grad():
            speed = self._rate * _TABLE_FACTOR * share
            for used, pull in pulls:
                for table, sums, one in zip(self._network.table, self._sums, pull, strict=True):
                    sums.index_add_(0, used, one.square().mean(1))
                    size = sums[used].sqrt_().add_(1e-6)
                    table.index_add_(0, used, one.div_(size[:, None]), alpha=-speed)

    def _schedule(self, number: int) -> float:
        warm = min(1.0, (number + 1) / min(_WARM_UP_STEPS, self.num_steps))
        return max(warm * (1 - number / self.num_steps), _LAST_SHARE)

    def validate(self) -> float:
        """Return the strict micro F1 of entities on the validation texts.

        It is the best under a few degrees of boldness, since `finish` will choose one.
        """
        texts = [example.text for example in self._validation]
        found = (self._model(Decoding(boldness)).predict(texts) for boldness in _TRIED_BOLDNESS)
        return max(entity_scores(self._gold, each).entity_f1 for each in found)

    def state(self) -> dict[str, Tensor]:
        """Return copies of all that a step reads."""
        state = {f"weights.{name}": value for name, value in self.weights().items()}
        state["table_sums"] = self._sums.clone()
        for name, parameter in self._network.named_parameters():
            kept = self._optimizer.state[parameter]
            state.update({f"adam.{key}.{name}": value.clone() for key, value in kept.items()})
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a state that `state` returned, of the same recipe and data."""
        self.set_weights({name[8:]: value for name, value in state.items() if name.startswith("weights.")})
        self._sums.copy_(state["table_sums"])
        for name, parameter in self._network.named_parameters():
            keys = ("step", "exp_avg", "exp_avg_sq")
            kept = {key: state[f"adam.{key}.{name}"] for key in keys if f"adam.{key}.{name}" in state}
            devices = {"step": torch.device("cpu")}
            self._optimizer.state[parameter] = {
                key: value.to(devices.get(key, self._device), copy=True) for key, value in kept.items()
            }

    def weights(self) -> dict[str, Tensor]:
        """Return copies of the weights."""
        return {name: value.detach().clone() for name, value in self._network.state_dict().items()}

    def set_weights(self, weights: dict[str, Tensor]) -> None:
        """Take weights that `weights` returned."""
        self._network.load_state_dict(weights)

    def calibrate(self) -> dict[str, float]:
        """Return the decoding that is best on the validation texts."""
        self._round_table()

        def predict(texts: list[str], decoding: Decoding) -> list[list[Entity]]:
            return self._model(decoding).predict(texts)

        return asdict(best_decoding(predict, self._validation))

    def finish(self, calibration: dict[str, float] | None = None) -> CrfTagger:
        """Return the tagger with these weights and this decoding."""
        self._round_table()
        return self._model(Decoding(**(calibration or self.calibrate())))

    def _round_table(self) -> None:
        """Make the table what it will be when it is saved, so that what is loaded again says the same."""
        self._network.table.copy_(self._network.table.half())

    def _model(self, decoding: Decoding | None = None) -> CrfTagger:
        return CrfTagger(self.labels, self._known, self._network, decoding)

    def _survey(self) -> tuple[Any, Any, int, int]:
        """Go through the texts once: their lengths in units, in how many each feature is, what tags cannot say."""
        counts = np.zeros(2**BITS, np.int64)
        lengths: list[Any] = []
        num_widened = num_left_out = 0
        for start in range(0, len(self._parts), _COUNTED_TEXTS):
            texts, entities = zip(*self._parts[start : start + _COUNTED_TEXTS], strict=True)
            units = units_of(texts)
            tagged = unit_tags(units, entities, self.labels)
            num_widened, num_left_out = num_widened + tagged.num_widened, num_left_out + tagged.num_left_out
            lengths.append(np.diff(units.bounds))
            seen = places(unit_features(units)) * _COUNTED_TEXTS + units.rows[:, None]
            seen = np.sort(seen, axis=None)  # np.unique hashes, which takes ten times as long here
            counts += np.bincount(seen[np.diff(seen, prepend=-1) > 0] // _COUNTED_TEXTS, minlength=2**BITS)
        return np.concatenate(lengths), counts, num_widened, num_left_out

    def _new_network(self) -> TaggerNetwork:
        columns = unit_features(units_of(["a"])).shape[1]
        sizes = Sizes(self._known.num_rows, columns, _READERS, _DIM, _HIDDEN, len(self.labels))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_seed(self._recipe.seed, -1))
            network = TaggerNetwork(sizes)
            network.table[:, 1:].normal_(std=0.1)
        return network.to(self._device)

    def _batches(self, epoch: int) -> list[Any]:
        """Return the texts of each batch of an epoch: at random, and yet of about one length."""
        random = np.random.default_rng([self._recipe.seed % 2**32, epoch])
        order = random.permutation(len(self._parts))
        size = self.batch_size
        batches = []
        for start in range(0, len(order), size * _BATCHES_SORTED):
            some = order[start : start + size * _BATCHES_SORTED]
            some = some[np.argsort(self._lengths[some], kind="stable")]
            batches += [some[at : at + size] for at in range(0, len(some), size)]
        return [batches[at] for at in random.permutation(len(batches))]


def _parts(train: Sequence[TaggedText]) -> list[tuple[str, tuple[Span, ...]]]:
    """Cut long texts as they are cut when they are tagged; entities go with every part that holds the whole of them."""
    texts = [example.text for example in train]
    parts = []
    for window in windows_of(texts):
        inside = tuple(
            Span(span.start - window.start, span.end - window.start, span.type)
            for span in train[window.row].entities
            if window.start <= span.start and span.end <= window.end
        )
        parts.append((texts[window.row][window.start : window.end], inside))
    # A text of blanks has nothing to tag.
    return [part for part in parts if len(units_of([part[0]]).starts)]


def _min_count(units: int) -> int:
    """In how many texts a feature must be: in fewer it would be learnt by heart with them."""
    return max(2, min(4, round(units / 65_000)))


def _batch_size(texts: int) -> int:
    """Few texts in small batches, so that there are steps enough."""
    return min(32, max(8, texts // 64))


def _epochs(texts: int) -> int:
    return min(40, max(10, 28_000 // max(texts, 1)))


def _seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed % 2**63, number + 1]).generate_state(1, np.uint64)[0] >> np.uint64(1))
