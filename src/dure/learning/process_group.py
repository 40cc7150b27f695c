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

    def summed(self, vectors: Iterator[torch.Tensor]) -> torch.Tensor:
        """Have each process add up one slice of the vectors of all shares, in their order; then put slices together."""
        mine = torch.stack(list(vectors))  # (my shares, length)
        count, length = mine.shape
        width = -(-length // self.size)
        mine = torch.nn.functional.pad(mine, (0, width * self.size - length))
        sent = mine.view(count, self.size, width).transpose(0, 1).reshape(-1)  # slices for the first, the second, …
        received = mine.new_empty(sum(self._counts), width)  # of every share my slice
        dist.all_to_all_single(
            received.view(-1),
            sent,
            output_split_sizes=[width * count for count in self._counts],
            input_split_sizes=[width * count] * self.size,
        )
        total = received[0].clone()
        for row in received[1:]:
            total += row
        whole = mine.new_empty(width * self.size)
        dist.all_gather_single(whole, total)
        self.sent_bytes += (self.size - 1) * (count + 1) * width * mine.element_size()
        return whole[:length]

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


def backend_for(device: torch.device) -> str:
    """Return what torch.distributed is to use: NCCL for tensors on GPUs, gloo for all others."""
    return "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
