"""The queue of one Executor, and its replicas: gives every free slot the next batch.

The asyncio shell around `scheduler.py`. What a dead worker had not begun goes back to the head of the queue; what it
may have begun is reported, since nobody knows what it did. Retry lives here and nowhere else.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from dure.errors import DureError, WorkerCrashed
from dure.executor.endpoints import DEFAULT
from dure.gateway.job import Job
from dure.gateway.replica import Replica
from dure.gateway.scheduler import compose
from dure.transport.messages import EndpointInfo  # noqa: TC001 - in the annotation of an attribute


class Dispatcher:
    """Queue and replicas of one Executor of the Flow.

    Args:
        name: The Executor's name.
        on_change: Called when a replica came or went.
    """

    def __init__(self, name: str, on_change: Callable[[], None]) -> None:
        self.name = name
        self._on_change = on_change
        self.endpoints: dict[str, EndpointInfo] = {}
        self._queue: deque[Job] = deque()
        self._replicas: list[Replica] = []
        self._failure: DureError | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def available(self) -> bool:
        """Whether a replica is there."""
        return bool(self._replicas)

    def answers(self, endpoint: str) -> bool:
        """Whether the Executor has a method for an endpoint, its own or the default."""
        return endpoint in self.endpoints or DEFAULT in self.endpoints

    async def attach(self, address: str, on_ready: Callable[[DureError | None], None]) -> None:
        """Connect to a worker that listens at a Unix socket; tell `on_ready` when it can be used, or why not."""

        def ready(replica: Replica) -> None:
            assert replica.hello is not None
            self.endpoints = replica.hello.endpoints
            self._failure = None
            self._replicas.append(replica)
            self._on_change()
            on_ready(None)
            self._pump()

        def lost(replica: Replica) -> None:
            if replica.hello is None:
                on_ready(replica.refused or WorkerCrashed(f"{self.name} closed the connection before it said hello"))
            else:
                self._lost(replica)
                self._reattach(address)

        replica = Replica(ready, self._free, self._leave, lost)
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: replica.connection, address)

    def _reattach(self, address: str) -> None:
        # A connection may be lost though its worker lives on; where it does not, nobody listens at the address, and the
        # one that takes its place is attached when it is ready.
        async def attach() -> None:
            with contextlib.suppress(OSError):
                await self.attach(address, lambda error: None)

        if not self._closed:
            task = asyncio.get_running_loop().create_task(attach())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def submit(self, job: Job) -> None:
        """Queue a request; its `on_done` is called when it is answered or cannot be."""
        if self._failure is not None:
            job.finish(self._failure)
            return
        self._queue.append(job)
        self._pump()

    def fail(self, error: DureError) -> None:
        """Give up: no replica will come back. What waits, and what comes later, gets this error."""
        self._failure = error
        while self._queue:
            job = self._queue.popleft()
            job.finish(error)

    def close(self) -> None:
        """Close the connections to the workers."""
        self._closed = True
        for replica in list(self._replicas):
            replica.connection.close()

    def _max_batch_size(self, job: Job) -> int:
        info = self.endpoints.get(job.endpoint) or self.endpoints.get(DEFAULT)
        return 1 if info is None else info.batching.max_batch_size

    def _free(self, replica: Replica) -> None:
        self._pump()

    def _pump(self) -> None:
        queue = self._queue
        while queue:
            replica = self._least_busy(queue[0])
            if replica is None:
                return
            batch = compose(queue, self._max_batch_size, idle=not replica.in_flight)
            if not batch:
                return
            replica.send(batch)

    def _least_busy(self, job: Job) -> Replica | None:
        found: Replica | None = None
        for replica in self._replicas:
            busy = len(replica.in_flight)
            if busy < replica.slots and (found is None or busy < len(found.in_flight)):
                found = replica if not replica.mixed or replica.takes(job) else found
        return found

    def _leave(self, replica: Replica, waiting: list[Job]) -> None:
        self._replicas.remove(replica)
        self._on_change()
        self._queue.extendleft(reversed(waiting))
        self._pump()

    def _lost(self, replica: Replica) -> None:
        begun, waiting = replica.abandon()
        if replica in self._replicas:
            self._leave(replica, waiting)
        error = WorkerCrashed(
            f"the worker of {self.name} died while it held this request; whether it had any effect is unknown."
            " It is not sent again by itself; send it again if that is safe."
        )
        for job in begun:
            job.finish(error)
