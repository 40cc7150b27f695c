"""The serving core in one process, without sockets and without a clock that runs.

Router, Dispatcher, Queue, Replica, WorkerServer, Runner and codec are the real ones. Simulated are time, which leaps to
whatever happens next, and the wires, which take their time, lose what a dead worker was still to be told, and deliver
what it had said.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from dure.device.transfer import Transfers
from dure.executor.base import Executor
from dure.transport.connection import Connection
from dure.worker.metrics import Counters
from dure.worker.runner import Runner
from dure.worker.server import WorkerServer


class StillWaiting(Exception):
    """Nothing is left to happen, and still somebody waits."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop whose time leaps to the next thing that is to happen."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.workers: dict[str, Worker] = {}
        self.random = Random()
        self._selector = self

    def time(self) -> float:
        return self.now

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise StillWaiting
        self.now += timeout
        return []

    def _process_events(self, events: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps who could be woken."""

    async def create_unix_connection(  # type: ignore[override]  # of its many arguments two are used
        self, factory: Callable[[], Connection], address: str
    ) -> tuple[asyncio.Transport, Connection]:
        worker = self.workers.get(address)
        if worker is None or not worker.listens:
            raise FileNotFoundError(address)
        protocol, other = factory(), worker.server.connection()
        here, there = Wire(self, other), Wire(self, protocol)
        here.back, there.back = there, here
        worker.wires.append(there)
        protocol.connection_made(here)
        self.call_soon(other.connection_made, there)
        return here, protocol


class Wire(asyncio.Transport):
    """One direction of a connection: what is written here arrives at `target`, in order, some time later."""

    def __init__(self, loop: SimulatedLoop, target: Connection) -> None:
        super().__init__()
        self._loop, self._target = loop, target
        self._sent: deque[bytes | None] = deque()
        self._moving = False
        self.back: Wire
        self._closing = self._dropped = False

    def writelines(self, pieces: Any) -> None:
        if not self._closing:
            self._put(b"".join(pieces))

    def close(self) -> None:
        """Deliver what was written, take nothing any more, then tell both ends."""
        if not self._closing:
            self._closing = True
            self.back.drop()
            self._put(None)

    def drop(self) -> None:
        """Deliver nothing any more: who would read it is gone."""
        self._closing = self._dropped = True
        self._sent.clear()

    def _put(self, data: bytes | None) -> None:
        self._sent.append(data)
        if not self._moving:
            self._moving = True
            self._later()

    def _later(self) -> None:
        self._loop.call_later(self._loop.random.choice((0.0, 0.001, 0.01, 0.03)), self._deliver)

    def _deliver(self) -> None:
        self._moving = False
        if not self._sent:
            return
        data = self._sent.popleft()
        if data is None:
            self._target.connection_lost(None)
            self.back._closed()
            return
        view = memoryview(data)
        while view and not self._dropped:
            buffer = self._target.get_buffer(len(view))
            size = min(len(buffer), len(view))
            buffer[:size] = view[:size]
            view = view[size:]
            self._target.buffer_updated(size)
        if self._sent and not self._moving:
            self._moving = True
            self._later()

    def _closed(self) -> None:
        self._target.connection_lost(None)


class Worker:
    """A worker process: serves an Executor at an address until it dies, leaves, or loses its device."""

    def __init__(self, loop: SimulatedLoop, address: str, executor: Executor, on_end: Callable[[], None]) -> None:
        self._loop, self._on_end = loop, on_end
        self.listens, self.dead = True, False
        self.wires: list[Wire] = []
        runner = Runner(executor, "simulated", Counters(Transfers({})))
        self.server = WorkerServer(runner, "simulated", executor.requests, None, self._end)
        loop.workers[address] = self

    def die(self) -> None:
        """As by SIGKILL: whatever it does from now on, it does not, and nobody hears of it."""
        self.dead = True
        for wire in self.wires:
            wire.close()
        self._end()

    def leave(self) -> None:
        """As by SIGTERM: answer what has arrived, then end."""
        if self.listens:
            self._end()
            self._leaving = self._loop.create_task(self.server.drain())

    def _end(self) -> None:
        if self.listens:
            self.listens = False
            self._on_end()
