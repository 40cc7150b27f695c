"""A crew as a process group of torch.distributed, whoever started the processes: gloo between hosts, NCCL between GPUs.

Source: all-to-all and all-gather in place of a ring's reduce-scatter, which adds up in an order that depends on the
number of processes.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from dure.learning.crew import shares_of

SILENCE = timedelta(minutes=10)
"""How long one of a crew may say nothing before the others give it up."""


class ProcessGroup:
    """See `dure.learning.crew.Crew`. The default group of torch.distributed must be there.

    Args:
        shares: Of the recipe.

    Attributes:
        sent_bytes: What this process has sent of vectors so far.
    """

    def __init__(self, shares: int) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.sent_bytes = 0
        self._counts = [len(shares_of(rank, self.size, shares)) for rank in range(self.size)]
        self._length = self._width = 0
        self._whole: torch.Tensor | None = None

    def summed(self, vectors: Iterator[torch.Tensor]) -> torch.Tensor:
        """Have each process add up one slice of the vectors of all shares, in their order; then put slices together.

        What is returned is written over by the next sum: fresh memory would cost as much as sending.
        """
        count = self._counts[self.rank]
        for number, vector in enumerate(vectors):
            if self._whole is None or self._length != len(vector):
                self._make_room(vector)
            for rank, part in enumerate(torch.split(vector, self._width)):
                self._sent[rank, number, : len(part)] = part
        assert self._whole is not None
        dist.all_to_all_single(
            self._received.view(-1),
            self._sent.view(-1),
            output_split_sizes=[self._width * other for other in self._counts],
            input_split_sizes=[self._width * count] * self.size,
        )
        total = self._received[0]
        for row in self._received[1:]:
            total += row
        dist.all_gather_single(self._whole, total)
        self.sent_bytes += (self.size - 1) * (count + 1) * total.nbytes
        return self._whole[: self._length]

    def _make_room(self, like: torch.Tensor) -> None:
        self._length, self._width = len(like), -(-len(like) // self.size)
        self._sent = like.new_zeros(
            self.size, self._counts[self.rank], self._width
        )  # slices for the first, the second, …
        self._received = like.new_empty(sum(self._counts), self._width)  # of every share my slice
        self._whole = like.new_empty(self.size * self._width)

    def gathered(self, parts: list[Any]) -> list[Any]:
        """Gather them from all, pickled: processes of one training trust each other."""
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, parts)
        return [part for parts in found for part in parts]

    def any(self, flag: bool) -> bool:
        """Ask all."""
        said = torch.tensor([int(flag)])
        dist.all_reduce(said, dist.ReduceOp.MAX)
        return bool(said)


def backend_for(on_gpu: bool) -> str:
    """Return what torch.distributed is to use: NCCL for tensors on GPUs, gloo for all others."""
    return "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
