"""A small net over bags of n-grams: a vector for every bucket of n-grams, their sum, one hidden layer.

It sees which n-grams go together, which a sum of weights for each of them cannot. Knows buckets and weights; not how
they were found, nor texts.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dure.learning.ngrams import Hashes

_MAX_BITS = 17
_SCALE = 8.0
"""How long bags are made, so that the vectors of n-grams may be small."""


@dataclass(frozen=True)
class BagNetwork:
    """The weights.

    Args:
        table: A vector for every bucket, `(buckets, hidden)`; as many buckets as a power of two.
        bias: Of the hidden layer, `(hidden,)`.
        out: What a hidden value says for each class, `(hidden, labels)`.
        out_bias: `(labels,)`.
    """

    table: Tensor
    bias: Tensor
    out: Tensor
    out_bias: Tensor

    def hidden(self, buckets: Tensor, values: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
        """Return the hidden layer before its bend, `(texts, hidden)`.

        Args:
            buckets: Of the n-grams of all texts, one text after the other.
            values: How much each n-gram counts.
            starts: Where a text's n-grams begin, one more than there are texts; of the type that `buckets` are of.
            lengths: The root of the sum of the squares of each text's values, `(texts, 1)`.
        """
        sums = functional.embedding_bag(
            buckets, self.table, starts, mode="sum", per_sample_weights=values, include_last_offset=True
        )
        return sums * (_SCALE / lengths) + self.bias

    def logits(self, hidden: Tensor) -> Tensor:
        """Return what a hidden layer says for each class, `(texts, labels)`."""
        return hidden.relu() @ self.out + self.out_bias

    def check(self, num_labels: int) -> None:
        """Raise ValueError where the sizes of its parts differ, or it tells apart another number of classes."""
        size = self.table.shape[1]
        shapes = [tuple(tensor.shape) for tensor in (self.bias, self.out, self.out_bias)]
        if shapes != [(size,), (size, num_labels), (num_labels,)]:
            raise ValueError(f"the net has the sizes {shapes} for {size} hidden values and {num_labels} labels")

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def to(self, device: torch.device) -> Self:
        """Return the same on a device."""
        return type(self)(**{name: tensor.to(device) for name, tensor in self.tensors().items()})


def buckets_of(keys: Hashes, num_buckets: int) -> Tensor:
    """Return the bucket of every n-gram, `int32`: what its hash begins with.

    Args:
        keys: Hashes of n-grams.
        num_buckets: A power of two.
    """
    bits = num_buckets.bit_length() - 1
    if num_buckets != 1 << bits:
        raise ValueError(f"{num_buckets} buckets are not a power of two")
    places = keys >> np.uint64(64 - bits) if bits else np.zeros_like(keys)
    return torch.from_numpy(places.astype(np.int32))


def num_buckets_for(num_ngrams: int) -> int:
    """Return how many buckets are good for so many n-grams: about as many, or several n-grams share one."""
    return 1 << min(_MAX_BITS, num_ngrams.bit_length())
