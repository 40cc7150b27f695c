"""Threads in which methods run beside each other, on one copy of the weights.

On a GPU each has a stream of its own, so that one may copy while another computes. Knows no requests.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from dure.device.streams import use_own_stream

T = TypeVar("T")


class CallThreads:
    """A fixed number of threads.

    Args:
        count: How many calls run at a time.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, "call", use_own_stream)

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread, with the caller's context; if it is withdrawn before it is begun, it never is."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: context.run(work))

    def close(self) -> None:
        """Wait for what runs, drop what does not."""
        self._pool.shutdown(cancel_futures=True)
