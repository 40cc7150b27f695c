"""One thread that sleeps until something is to be read, a moment has come, or it is given something to do.

Knows files and callbacks; what they mean is the supervisor's.
"""

import contextlib
import os
import selectors
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any


class Watcher:
    """The thread.

    Args:
        next_moment: Asked before every sleep: until when at most, on the monotonic clock, or None.
        on_turn: Called after every sleep.
        on_error: Called with what one of the callbacks raised, after which nothing is watched any more.
    """

    def __init__(
        self,
        next_moment: Callable[[], float | None],
        on_turn: Callable[[], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._next_moment, self._on_turn, self._on_error = next_moment, on_turn, on_error
        self._selector = selectors.DefaultSelector()
        self._orders: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._obey)
        self._thread: threading.Thread | None = None
        self._ended = False

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return self._wake_read >= 0

    def watch(self, file: Any, on_readable: Callable[[], None]) -> None:
        """Call back whenever there is something to read."""
        self._selector.register(file, selectors.EVENT_READ, on_readable)

    def forget(self, file: Any) -> None:
        """Watch a file no more, if it was watched."""
        with contextlib.suppress(KeyError):
            self._selector.unregister(file)

    def order(self, work: Callable[[], None]) -> None:
        """Have something done by the thread."""
        self._orders.put(work)
        os.write(self._wake_write, b"x")

    def do(self, work: Callable[[], None], timeout_s: float) -> None:
        """Have something done by the thread, and wait for that, but not for ever."""
        done = threading.Event()

        def told() -> None:
            work()
            done.set()

        self.order(told)
        done.wait(timeout_s)

    def start(self) -> None:
        """Begin to watch."""
        self._thread = threading.Thread(target=self._run, name="dure-supervisor", daemon=True)
        self._thread.start()

    def end(self, timeout_s: float) -> None:
        """Let the thread end; wait for that, but not for ever."""
        if self._thread is not None:
            self.order(self._end)
            self._thread.join(timeout_s)

    def close(self) -> None:
        """Let go of what it holds, after `end`."""
        if self.is_open:
            self._selector.close()
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_read = self._wake_write = -1

    def _end(self) -> None:
        self._ended = True

    def _obey(self) -> None:
        os.read(self._wake_read, 1)
        self._orders.get()()

    def _run(self) -> None:
        try:
            while not self._ended:
                moment = self._next_moment()
                timeout = None if moment is None else max(0.0, moment - time.monotonic())
                for key, _ in self._selector.select(timeout):
                    # An event before it, of the same round, may have let go of this one.
                    if self._selector.get_map().get(key.fd) is key:
                        key.data()
                self._on_turn()
        except Exception as error:  # noqa: BLE001 - whoever waits for something must hear of it
            self._on_error(error)
