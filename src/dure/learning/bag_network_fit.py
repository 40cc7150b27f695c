"""The fit of a small net over bags of n-grams, by gradients worked out by hand: a step touches few rows of its table.

Knows cross-entropy with smoothed labels and Adagrad; not which n-grams are left out, nor when a training ends. Source
of Adagrad: Duchi, Hazan and Singer, "Adaptive Subgradient Methods", 2011.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dure.learning.bag_network import BagNetwork
from dure.learning.checkpoint import below

_HIDDEN = 64
_INITIAL = 0.1
_TABLE_RATE, _RATE = 0.035, 0.05
_DROPOUT = 0.5
_SMOOTHING = 0.05
_TINY = 1e-7


class Batch(NamedTuple):
    """The n-grams of some texts, one text after the other.

    Args:
        ids: Which n-grams, `int64`.
        owners: Which text of the batch each is of.
        values: How much it counts; 0 where it is left out.
        starts: Where each text begins, one more than there are texts.
        gold: The number of each text's class.
        importance: How much each text counts, 1 on average.
    """

    ids: Tensor
    owners: Tensor
    values: Tensor
    starts: Tensor
    gold: Tensor
    importance: Tensor


class Pull(NamedTuple):
    """Where a batch wants the weights to go: gradients of the sum of its losses.

    Args:
        buckets: Of its n-grams.
        owners: Which text each is of.
        values: How much each counts.
        hidden: By the hidden layer of each text.
        dense: By bias, out and out_bias.
        loss: The sum.
    """

    buckets: Tensor
    owners: Tensor
    values: Tensor
    hidden: Tensor
    dense: tuple[Tensor, Tensor, Tensor]
    loss: float


class BagNetworkFit:
    """A net in training.

    Args:
        buckets: Of every n-gram, on the device where it is trained.
        num_buckets: How many there are.
        num_labels: Classes.
        seed: Of what it begins with.
    """

    def __init__(self, buckets: Tensor, num_buckets: int, num_labels: int, seed: int) -> None:
        chance = torch.Generator().manual_seed(seed)
        table = torch.randn(num_buckets, _HIDDEN, generator=chance) * _INITIAL
        out = torch.randn(_HIDDEN, num_labels, generator=chance) / _HIDDEN**0.5
        self._buckets = buckets
        begun = BagNetwork(table, torch.zeros(_HIDDEN), out, torch.zeros(num_labels))
        self.network = begun.to(buckets.device)
        net = self.network
        self._dense = (net.bias, net.out, net.out_bias)
        self._sums = {
            "table": torch.zeros(num_buckets, device=buckets.device),
            **{name: torch.zeros_like(tensor) for name, tensor in net.tensors().items() if name != "table"},
        }

    def pull(self, batch: Batch, chance: np.random.Generator) -> Pull:
        """Return where a batch wants the weights to go; hidden values are left out by chance."""
        net, texts = self.network, len(batch.gold)
        buckets = self._buckets[batch.ids].long()
        hidden = net.hidden(buckets, batch.values, batch.starts, torch.ones(texts, 1, device=buckets.device))
        drawn = torch.from_numpy(chance.random((texts, _HIDDEN), np.float32)).to(hidden.device)
        kept = (drawn >= _DROPOUT) / (1 - _DROPOUT)
        bent = hidden.relu() * kept
        said = (bent @ net.out + net.out_bias).log_softmax(1)
        wanted = torch.full_like(said, _SMOOTHING / said.shape[1])
        wanted[torch.arange(texts, device=said.device), batch.gold] += 1 - _SMOOTHING
        importance = batch.importance.unsqueeze(1)
        slopes = (said.exp() - wanted) * importance
        inner = (slopes @ net.out.T) * kept * (hidden > 0)
        dense = (inner.sum(0), bent.T @ slopes, slopes.sum(0))
        loss = -(wanted * said * importance).sum()
        return Pull(buckets, batch.owners, batch.values, inner, dense, float(loss))

    def move(self, pulls: list[Pull], num_texts: int, share: float) -> None:
        """Follow what the batches of a step want.

        Args:
            pulls: Of its batches.
            num_texts: Texts in all of them.
            share: Of the rates at which it learns.
        """
        for place, (weights, name) in enumerate(zip(self._dense, ("bias", "out", "out_bias"), strict=True)):
            pull = torch.stack([one.dense[place] for one in pulls]).sum(0) / num_texts
            sums = self._sums[name].add_(pull.square())
            weights.addcdiv_(pull, sums.sqrt() + _TINY, value=-_RATE * share)
        sums = self._sums["table"]
        for one in pulls:  # one rate a row, not one a number: it is as good, and a fraction of the memory
            size = one.hidden.square().mean(1)
            sums.index_add_(0, one.buckets, one.values.square() * size[one.owners])
        for one in pulls:
            speeds = one.values / (sums[one.buckets].sqrt() + _TINY)
            moves = one.hidden[one.owners].mul_(speeds.unsqueeze(1))
            self.network.table.index_add_(0, one.buckets, moves, alpha=-_TABLE_RATE * share)

    def weights(self) -> dict[str, Tensor]:
        """Return copies of the weights."""
        return {name: tensor.clone() for name, tensor in self.network.tensors().items()}

    def set_weights(self, weights: dict[str, Tensor]) -> None:
        """Take weights that `weights` returned."""
        for name, tensor in self.network.tensors().items():
            tensor.copy_(weights[name])

    def state(self) -> dict[str, Tensor]:
        """Return copies of all that a step reads and writes."""
        return {**self.weights(), **{f"sums.{name}": tensor.clone() for name, tensor in self._sums.items()}}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go back to where `state` was taken."""
        self.set_weights(state)
        for name, tensor in below("sums.", state).items():
            self._sums[name].copy_(tensor)
