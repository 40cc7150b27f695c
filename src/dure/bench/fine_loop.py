"""An event loop that wakes to within a tenth of a millisecond: that of asyncio on Linux counts whole milliseconds.

Knows selectors; does not know what is waited for.
"""

import asyncio
import select
import selectors
from typing import Any

_MAX_DESCRIPTOR = 1024  # of select(); the loop's own is among the first that a process opens


def fine_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop; for `asyncio.Runner(loop_factory=fine_loop)`."""
    if not hasattr(selectors, "EpollSelector"):
        return asyncio.SelectorEventLoop()  # kqueue counts nanoseconds
    return asyncio.SelectorEventLoop(_FineSelector())


class _FineSelector(selectors.EpollSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, Any]]:
        if timeout is not None and timeout > 0.0 and self.fileno() < _MAX_DESCRIPTOR:
            # epoll rounds up to milliseconds, select() does not; an epoll object is ready when one of its files is.
            select.select([self.fileno()], [], [], timeout)
            timeout = 0.0
        return super().select(timeout)
