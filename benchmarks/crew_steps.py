"""How long a step of fine-tuning takes a crew, and what it sends: `python benchmarks/crew_steps.py [SHARES] [STEPS]`.

The same shares by one worker, by two, … in turn, each on one thread; all on this machine, over gloo.
"""

import multiprocessing
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from dure.dataset.samples import docstrings
from dure.learning.kinds import learner_for
from dure.learning.process_group import ProcessGroup
from dure.learning.recipe import Recipe

ENCODER = "all-MiniLM-L6-v2"
WARM_UP = 2


def be_one(rank: int, size: int, shares: int, steps: int, folder: str) -> None:
    torch.set_num_threads(1)
    store: Any = dist.FileStore(f"{folder}/store", size)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=timedelta(minutes=2))
    crew = ProcessGroup(shares)
    rows = docstrings().examples[:1200]
    recipe = Recipe(task="tc", encoder=ENCODER, shares=shares, batch_size=32)
    learner: Any = learner_for(recipe, rows[:-100], rows[-100:], crew)
    times, sums = [], []
    summed = crew.summed

    def timed(vectors: Any) -> torch.Tensor:
        mine = list(vectors)
        began = time.perf_counter()
        total = summed(iter(mine))
        sums.append(time.perf_counter() - began)
        return total

    crew.summed = timed  # type: ignore[method-assign]
    for number in range(WARM_UP + steps):
        began = time.perf_counter()
        learner.step(number)
        times.append(time.perf_counter() - began)
    if rank == 0:
        length = sum(one.numel() for one in learner.network.parameters())
        print(
            f"{size} of {shares} shares: {statistics.median(times[WARM_UP:]):.2f} s a step (median of {steps}),"
            f" {statistics.median(sums[WARM_UP:]) * 1e3:,.0f} ms of it sums;"
            f" each sends {crew.sent_bytes / (WARM_UP + steps) / 1e6:,.1f} MB a step, of {length:,} parameters"
        )
    dist.destroy_process_group()


def main(shares: int = 2, steps: int = 8) -> None:
    spawn = multiprocessing.get_context("spawn")
    for size in range(1, shares + 1):
        with tempfile.TemporaryDirectory() as folder:
            crew = [spawn.Process(target=be_one, args=(rank, size, shares, steps, folder)) for rank in range(size)]
            for process in crew:
                process.start()
            for process in crew:
                process.join()
                if process.exitcode:
                    sys.exit(process.exitcode)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
