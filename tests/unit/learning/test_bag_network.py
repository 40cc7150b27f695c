"""A small net over bags: its sums by hand, its buckets, its sizes."""

import numpy as np
import pytest
import torch

from dure.learning.bag_network import BagNetwork, buckets_of, num_buckets_for


def network(num_labels: int = 3) -> BagNetwork:
    chance = torch.Generator().manual_seed(0)
    shapes = ((8, 4), (4,), (4, num_labels), (num_labels,))
    return BagNetwork(*(torch.randn(*shape, generator=chance) for shape in shapes))


def test_the_hidden_layer_is_a_sum_of_vectors_of_one_length() -> None:
    net = network()
    buckets, values = torch.tensor([1, 5, 5, 2]), torch.tensor([3.0, 2.0, 1.0, 7.0])
    hidden = net.hidden(buckets, values, torch.tensor([0, 3, 3, 4]), torch.tensor([[14.0], [1.0], [49.0]]).sqrt())
    first = (3 * net.table[1] + 3 * net.table[5]) * 8 / 14**0.5 + net.bias
    assert torch.allclose(hidden, torch.stack([first, net.bias, 8 * net.table[2] + net.bias]), atol=1e-5)
    assert torch.allclose(net.logits(hidden), hidden.clamp(min=0) @ net.out + net.out_bias)


def test_a_bucket_is_what_a_hash_begins_with() -> None:
    keys = np.array([0, 1 << 61, (1 << 64) - 1], np.uint64)
    assert buckets_of(keys, 8).tolist() == [0, 1, 7]
    assert buckets_of(keys, 1).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="6 buckets are not a power of two"):
        buckets_of(keys, 6)


@pytest.mark.parametrize(("num_ngrams", "num_buckets"), [(0, 1), (1, 2), (1000, 1024), (10**7, 1 << 17)])
def test_there_are_about_as_many_buckets_as_ngrams_up_to_a_limit(num_ngrams: int, num_buckets: int) -> None:
    assert num_buckets_for(num_ngrams) == num_buckets


def test_parts_of_other_sizes_are_told() -> None:
    network().check(3)
    with pytest.raises(ValueError, match=r"for 4 hidden values and 2 labels"):
        network().check(2)
