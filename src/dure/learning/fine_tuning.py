"""The fine-tuning of an encoder, whatever stands on top of it: batches, AdamW, warm-up, mixed precision.

Knows rows by number and their lengths; what the loss of rows is, and how good the model is, is its subclasses' to say.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import torch

from dure.device.context import parse_context
from dure.device.library import torch_device
from dure.errors import DeviceOutOfMemory
from dure.learning.checkpoint import below
from dure.learning.crew import ALONE, Crew, shares_of
from dure.learning.gradients import Told, pack, unpack
from dure.learning.recipe import Recipe

T = TypeVar("T")
R = TypeVar("R")

_EPOCHS = 3
_BATCH_SIZE = 32
_LEARNING_RATE = 1e-4
_HEAD_RATE = 10.0
"""What is new learns so many times faster than what is trained already."""
_WARM_UP = 0.1
_WEIGHT_DECAY = 0.01
_POOL = 16
"""Batches out of which rows of about one length are put together."""


class FineTuning(ABC):
    """What `dure.learning.learner.Learner` asks for, but for the score and the model.

    Args:
        recipe: How.
        network: What is trained; parameters of `head` learn faster.
        lengths: Tokens of every row that is learnt from.
        crew: With whom.
    """

    def __init__(self, recipe: Recipe, network: torch.nn.Module, lengths: Sequence[int], crew: Crew = ALONE) -> None:
        self.recipe = recipe
        self._crew = crew
        self.device = torch.device(torch_device(parse_context(recipe.device)))
        self.network = network.to(self.device)
        self.batch_size = recipe.batch_size or _BATCH_SIZE
        self._lengths = np.asarray(lengths)
        num_batches = math.ceil(len(lengths) / self.batch_size)
        self.steps_per_epoch = math.ceil(num_batches / recipe.accumulate)
        self.num_steps = self.steps_per_epoch * (recipe.epochs or _EPOCHS)
        self._optimiser = torch.optim.AdamW(_groups(network, recipe.learning_rate or _LEARNING_RATE))
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.precision == "float16")
        self._batches = lru_cache(maxsize=1)(self._batches_of)

    @abstractmethod
    def loss(self, rows: Sequence[int]) -> torch.Tensor:
        """Return the mean loss of rows that are learnt from, as a scalar."""

    def step(self, number: int) -> float:
        """Take one step; see `Learner`."""
        epoch, place = divmod(number, self.steps_per_epoch)
        accumulate = self.recipe.accumulate
        batches = self._batches(epoch)[place * accumulate : (place + 1) * accumulate]
        self.network.train()
        if self.recipe.shares == 1:
            total = self._learn(batches, sum(map(len, batches)), hash_of(self.recipe.seed, number))
        else:
            total = self._learn_shares(batches, number)
        self._scaler.unscale_(self._optimiser)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        share = number / self.num_steps
        for group in self._optimiser.param_groups:
            group["lr"] = group["initial_lr"] * min(share / _WARM_UP + 1 / self.num_steps, (1 - share) / (1 - _WARM_UP))
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad()
        return total

    def in_shares(self, items: Sequence[T], answer: Callable[[Sequence[T]], R]) -> list[R]:
        """Return answers about items, one for each share of them that is not empty; a crew divides them."""
        shares = self.recipe.shares
        parts = [items[_run(len(items), share, shares)] for share in self._mine()]
        return self._crew.gathered([answer(part) for part in parts if part])

    def _mine(self) -> range:
        return shares_of(self._crew.rank, self._crew.size, self.recipe.shares)

    def _learn_shares(self, batches: Sequence[Sequence[int]], number: int) -> float:
        """Have the gradients of all shares of a step added up, in the order of the shares."""
        parameters = list(self.network.parameters())
        num_rows = sum(map(len, batches))

        def vectors() -> Iterator[torch.Tensor]:
            for share in self._mine():
                rows = [part for batch in batches if (part := batch[share :: self.recipe.shares])]
                try:
                    told = Told(self._learn(rows, num_rows, hash_of(self.recipe.seed, number, share)), fits=True)
                except torch.OutOfMemoryError:  # all have to know before anybody tries a smaller batch
                    self._optimiser.zero_grad()
                    told = Told(0.0, fits=False)
                yield pack(parameters, told)

        loss, fits = unpack(parameters, self._crew.summed(vectors()))
        if not fits:
            self._optimiser.zero_grad()
            raise DeviceOutOfMemory(f"a batch of {self.batch_size} in {self.recipe.shares} shares")
        return loss

    def _learn(self, batches: Sequence[Sequence[int]], num_rows: int, seed: int) -> float:
        """Add the gradients of batches up, each counting by its part of `num_rows`; return their loss."""
        total = 0.0
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)  # dropout
            for rows in batches:
                with self._autocast():
                    loss = self.loss(rows) * (len(rows) / num_rows)
                self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
        return total

    def state(self) -> dict[str, torch.Tensor]:
        """Return all that `step` reads and writes."""
        memory = self._optimiser.state_dict()["state"]
        kept = {f"adam.{row}.{name}": value for row, values in memory.items() for name, value in values.items()}
        scale = {f"scale.{name}": torch.tensor(value) for name, value in self._scaler.state_dict().items()}
        return {**_prefixed("network.", self.network.state_dict()), **kept, **scale}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Go back to where `state` was taken."""
        self.set_weights(below("network.", state))
        memory: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in below("adam.", state).items():
            row, name = key.split(".")
            memory.setdefault(int(row), {})[name] = value
        self._optimiser.load_state_dict({**self._optimiser.state_dict(), "state": memory})
        scale = below("scale.", state)
        if scale:
            self._scaler.load_state_dict({name: value.item() for name, value in scale.items()})

    def weights(self) -> dict[str, torch.Tensor]:
        """Return what a validation score belongs to."""
        return {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}

    def set_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Make these the network's weights."""
        self.network.load_state_dict(weights)

    def _autocast(self) -> Any:
        if self.recipe.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, getattr(torch, self.recipe.precision))

    def _batches_of(self, epoch: int) -> list[list[int]]:
        """Return the rows of every batch of an epoch: shuffled, and of about one length in each batch."""
        chance = np.random.default_rng((self.recipe.seed, epoch))
        order = chance.permutation(len(self._lengths))
        batches: list[list[int]] = []
        for start in range(0, len(order), self.batch_size * _POOL):
            pool = order[start : start + self.batch_size * _POOL]
            pool = pool[np.argsort(self._lengths[pool], kind="stable")]
            batches += [pool[at : at + self.batch_size].tolist() for at in range(0, len(pool), self.batch_size)]
        return [batches[at] for at in chance.permutation(len(batches))]


def hash_of(*numbers: int) -> int:
    """Return a seed for one step, or a share of it: another for every seed, step and share."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _run(count: int, share: int, shares: int) -> slice:
    return slice(count * share // shares, count * (share + 1) // shares)


def _groups(network: torch.nn.Module, rate: float) -> list[dict[str, Any]]:
    """Return the parameters by how they learn: biases and scales do not decay, the head learns faster."""
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        groups.setdefault((name.startswith("head."), parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": rate * (_HEAD_RATE if is_head else 1.0),
            "initial_lr": rate * (_HEAD_RATE if is_head else 1.0),
            "weight_decay": _WEIGHT_DECAY if decays else 0.0,
        }
        for (is_head, decays), parameters in groups.items()
    ]


def _prefixed(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}
