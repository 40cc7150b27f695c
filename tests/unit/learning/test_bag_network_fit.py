"""The net learns what no sum of weights can, by gradients that are those of autograd."""

import numpy as np
import pytest
import torch

from dure.learning import bag_network_fit
from dure.learning.bag_network import BagNetwork
from dure.learning.bag_network_fit import BagNetworkFit, Batch

BUCKETS = torch.arange(8, dtype=torch.int32)


def batch(ids: list[list[int]], gold: list[int], importance: list[float] | None = None) -> Batch:
    lengths = torch.tensor([len(each) for each in ids])
    owners = torch.repeat_interleave(torch.arange(len(ids)), lengths)
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    values = (1 / lengths.float().sqrt())[owners]
    counts = torch.tensor(importance or [1.0] * len(ids))
    return Batch(
        torch.tensor([one for each in ids for one in each]), owners, values, starts, torch.tensor(gold), counts
    )


def fit(seed: int = 0) -> BagNetworkFit:
    return BagNetworkFit(BUCKETS, 8, 2, seed)


def test_it_learns_what_a_sum_of_weights_cannot() -> None:
    either = batch([[0, 2], [1, 3], [0, 3], [1, 2]], [0, 0, 1, 1])
    learning, chance = fit(), np.random.default_rng(0)
    for _ in range(300):
        learning.move([learning.pull(either, chance)], 4, 1.0)
    hidden = learning.network.hidden(BUCKETS[either.ids].long(), either.values, either.starts, torch.ones(4, 1))
    assert learning.network.logits(hidden).argmax(1).tolist() == [0, 0, 1, 1]


def test_its_gradients_are_those_of_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bag_network_fit, "_DROPOUT", 0.0)
    texts = batch([[0, 2, 5], [1], [], [7, 2]], [0, 1, 1, 0], [1.0, 0.5, 2.0, 0.0])
    learning = fit()
    pull = learning.pull(texts, np.random.default_rng(0))
    net = BagNetwork(**{name: tensor.requires_grad_() for name, tensor in learning.weights().items()})
    logits = net.logits(net.hidden(texts.ids, texts.values, texts.starts, torch.ones(4, 1)))
    losses = torch.nn.functional.cross_entropy(logits, texts.gold, reduction="none", label_smoothing=0.05)
    loss = (losses * texts.importance).sum()
    torch.autograd.backward(loss)
    assert pull.loss == pytest.approx(loss.item(), rel=1e-5)
    for ours, weights in zip(pull.dense, (net.bias, net.out, net.out_bias), strict=True):
        assert weights.grad is not None
        assert torch.allclose(ours, weights.grad, atol=1e-5)
    table = torch.zeros_like(net.table)
    table.index_add_(0, pull.buckets, 8 * pull.values.unsqueeze(1) * pull.hidden[pull.owners])
    assert net.table.grad is not None
    assert torch.allclose(table, net.table.grad, atol=1e-4)


def test_what_it_begins_with_is_the_seeds() -> None:
    one, same, other = fit(), fit(), fit(seed=1)
    assert torch.equal(one.network.table, same.network.table)
    assert not torch.equal(one.network.table, other.network.table)


def test_restored_it_goes_on_as_before() -> None:
    texts = batch([[0, 2], [1, 3], [0, 3], [1, 2]], [0, 0, 1, 1])
    whole, first, second = fit(), fit(), fit(seed=9)
    for number in range(6):
        whole.move([whole.pull(texts, np.random.default_rng(number))], 4, 1 - number / 6)
    for number in range(3):
        first.move([first.pull(texts, np.random.default_rng(number))], 4, 1 - number / 6)
    second.restore(first.state())
    for number in range(3, 6):
        second.move([second.pull(texts, np.random.default_rng(number))], 4, 1 - number / 6)
    assert all(torch.equal(tensor, second.state()[name]) for name, tensor in whole.state().items())
