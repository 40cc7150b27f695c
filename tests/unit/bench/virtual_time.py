"""An event loop on which waiting takes no time, and services whose latencies are known beforehand."""

import asyncio
import selectors
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from dure.bench.load import Refusal

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its clock stands still while something can be done, and jumps to the next moment when nothing can."""

    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(_Jumps(self))

    def time(self) -> float:
        return self.now_s


class _Jumps(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            assert timeout is not None, "everybody waits for something that never comes"
            self._loop.now_s += timeout
        return found


def in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


class OneServer:
    """A service with one server and a queue before it.

    Args:
        service_s: How long it takes for each request, in the order in which they come.
        stall: From when to when it serves nobody.
    """

    def __init__(self, service_s: Iterator[float], stall: tuple[float, float] = (0.0, 0.0)) -> None:
        self._service_s = service_s
        self._stall = stall
        self._free_s = 0.0
        self.num_sent = 0

    async def send(self, number: int) -> Refusal | None:
        self.num_sent += 1
        now = asyncio.get_running_loop().time()
        start = max(now, self._free_s)
        if self._stall[0] <= start < self._stall[1]:
            start = self._stall[1]
        self._free_s = start + next(self._service_s)
        await asyncio.sleep(self._free_s - now)
        return None

    async def close(self) -> None:
        pass
