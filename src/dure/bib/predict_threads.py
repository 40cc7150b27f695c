"""The threads in which models of one device work, and how the texts of a call are divided among them.

Many texts are divided on a CPU: threads that each compute alone lose less than one whose every step all cores share.
Few texts are given to all cores at once. A GPU shares itself out. Runs on an event loop.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, pairwise
from typing import Any

from dure.device.context import Context
from dure.device.cores import usable_cores
from dure.learning.model import Model

_DIVIDED = 32
"""So many texts are divided."""

_MAX_PART = 1024
"""Most texts of a part: when one is done, those of other models have their turn."""

_MAX_THREADS = 4
"""More of them would wait for each other in Python; each computes with its share of the cores."""

_ON_GPU = 2
"""How many models work at once there: one computes while another prepares."""


class PredictThreads:
    """Has models predict.

    Args:
        context: Where they live.
        num_cores: How many cores they may use; None: as many as there are.
    """

    def __init__(self, context: Context, num_cores: int | None = None) -> None:
        cores = num_cores or usable_cores()
        on_cpu = context.kind == "cpu"
        self._num_parts = min(cores, _MAX_THREADS) if on_cpu else 1
        # On a CPU one, not two: idle threads of a second pool of OpenMP make every step of the first slower.
        self._whole = _threads(1 if on_cpu else _ON_GPU, cores)
        self._parts = _threads(self._num_parts, cores // self._num_parts)

    def close(self) -> None:
        """Wait for the calls that are under way, and let go of the threads."""
        self._whole.shutdown()
        self._parts.shutdown()

    async def predict(self, model: Model, texts: Sequence[str]) -> list[Any]:
        """Return what a model says of texts, in order.

        Raises:
            Exception: Whatever the model raises; what has not begun then is left.
        """
        loop = asyncio.get_running_loop()
        if self._num_parts == 1 or len(texts) < _DIVIDED:
            return list(await loop.run_in_executor(self._whole, model.predict, texts))
        turn = asyncio.Semaphore(self._num_parts)

        async def one(part: Sequence[str]) -> Sequence[Any]:
            async with turn:
                return await loop.run_in_executor(self._parts, model.predict, part)

        tasks = [asyncio.create_task(one(part)) for part in _divided(texts, self._num_parts)]
        try:
            return list(chain.from_iterable(await asyncio.gather(*tasks)))
        finally:
            for task in tasks:
                task.cancel()


def _divided(texts: Sequence[str], num_parts: int) -> list[Sequence[str]]:
    """Return parts of about one size, as many for each thread."""
    count = num_parts * -(-len(texts) // (num_parts * _MAX_PART))
    bounds = [len(texts) * n // count for n in range(count + 1)]
    return [texts[start:end] for start, end in pairwise(bounds)]


def _threads(count: int, num_cores: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="predict", initializer=_use, initargs=(num_cores,))


def _use(num_cores: int) -> None:
    import torch

    torch.set_num_threads(num_cores)  # this thread's; and that of threads that have not computed yet
