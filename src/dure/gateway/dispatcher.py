"""The queue of one Executor, and its replicas: gives every free slot the next batch.

The asyncio shell around `scheduler.py`. What a dead worker had not begun goes back to the head of the queue; what it
may have begun is reported, since nobody knows what it did. Retry lives here and nowhere else.
"""

import asyncio
import contextlib
from collections.abc import Callable
from math import inf
from time import monotonic

from dure.errors import DeadlineExceeded, DureError, QueueFull, WorkerCrashed
from dure.executor.endpoints import DEFAULT, UNMERGED
from dure.gateway.cost import assess
from dure.gateway.figures import ExecutorFigures
from dure.gateway.job import Job
from dure.gateway.replica import Replica
from dure.gateway.scheduler import Queue, compose
from dure.spec import BatchSpec
from dure.transport.messages import EndpointInfo  # noqa: TC001 - in the annotation of an attribute

_MIN_RETRY_S, _MAX_RETRY_S = 0.1, 30.0


class Dispatcher:
    """Queue and replicas of one Executor of the Flow.

    Args:
        name: The Executor's name.
        max_queue_size: Requests that may wait; more are refused.
        on_change: Called when a replica came or went.
    """

    def __init__(self, name: str, max_queue_size: int, on_change: Callable[[], None]) -> None:
        self.name = name
        self._max_queue_size = max_queue_size
        self._on_change = on_change
        self.endpoints: dict[str, EndpointInfo] = {}
        self.figures = ExecutorFigures()
        self._queue = Queue()
        self._replicas: list[Replica] = []
        self._failure: DureError | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def available(self) -> bool:
        """Whether a replica is there."""
        return bool(self._replicas)

    @property
    def num_replicas(self) -> int:
        """How many replicas there are."""
        return len(self._replicas)

    @property
    def num_queued(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    @property
    def rows_in_flight(self) -> int:
        """How many documents are with a replica."""
        return sum(replica.rows_in_flight for replica in self._replicas)

    def answers(self, endpoint: str) -> bool:
        """Whether the Executor has a method for an endpoint, its own or the default."""
        return endpoint in self.endpoints or DEFAULT in self.endpoints

    async def attach(self, address: str, replica: int, on_ready: Callable[[DureError | None], None]) -> None:
        """Connect to a worker that listens at a Unix socket; tell `on_ready` when it can be used, or why not."""

        def ready(one: Replica) -> None:
            assert one.hello is not None
            self.endpoints = one.hello.endpoints
            self._failure = None
            self._replicas.append(one)
            self._on_change()
            on_ready(None)
            self._pump()

        def lost(one: Replica) -> None:
            if one.hello is None:
                on_ready(one.refused or WorkerCrashed(f"{self.name} closed the connection before it said hello"))
            else:
                self._lost(one)
                self._reattach(address, replica)

        made = Replica(replica, self.figures, ready, self._free, self._leave, lost)
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: made.connection, address)

    def _reattach(self, address: str, replica: int) -> None:
        # A connection may be lost though its worker lives on; where it does not, nobody listens at the address, and the
        # one that takes its place is attached when it is ready.
        async def attach() -> None:
            with contextlib.suppress(OSError):
                await self.attach(address, replica, lambda error: None)

        if not self._closed:
            task = asyncio.get_running_loop().create_task(attach())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def submit(self, job: Job) -> None:
        """Queue a request; its `on_done` is called when it is answered or cannot be."""
        job.arrived_at = now = monotonic()
        error = self._failure or self._refusal(job, now)
        if error is not None:
            self.figures.refuse(error)
            job.finish(error)
            return
        self._queue.append(job)
        self._pump()

    def fail(self, error: DureError) -> None:
        """Give up: no replica will come back. What waits, and what comes later, gets this error."""
        self._failure = error
        for job in self._queue.clear():
            job.finish(error)

    def close(self) -> None:
        """Close the connections to the workers."""
        self._closed = True
        for replica in list(self._replicas):
            replica.connection.close()

    def _refusal(self, job: Job, now: float) -> DureError | None:
        try:
            assess(job, self._policy(job))
        except DureError as error:
            return error
        if now >= job.deadline:
            return DeadlineExceeded(f"the deadline of this request had passed when it came to {self.name}")
        wait_s = 0.0
        if job.deadline < inf or len(self._queue) >= self._max_queue_size:
            wait_s = self._estimated_wait_s()
        if len(self._queue) >= self._max_queue_size:
            return QueueFull(
                f"{len(self._queue):,} requests wait for {self.name} (max_queue_size={self._max_queue_size:,});"
                f" try again in {_clamped(wait_s):.1f} s",
                retry_after_s=_clamped(wait_s),
            )
        if now + wait_s > job.deadline:
            late_s = now + wait_s - job.deadline
            return QueueFull(
                f"{self.name} would come to this request after about {wait_s:.2g} s, which is {late_s:.2g} s too late;"
                f" try again in {_clamped(late_s):.1f} s, or give it more time (timeout_s)",
                retry_after_s=_clamped(late_s),
            )
        return None

    def _estimated_wait_s(self) -> float:
        rate = sum(replica.rows_per_s for replica in self._replicas)
        rows = self._queue.rows + self.rows_in_flight
        return rows / rate if rate else 0.0

    def _policy(self, job: Job) -> BatchSpec:
        info = self.endpoints.get(job.endpoint) or self.endpoints.get(DEFAULT)
        return UNMERGED if info is None or len(job.payloads) > 1 else info.batching

    def _free(self, replica: Replica) -> None:
        self._pump()

    def _pump(self) -> None:
        queue = self._queue
        while queue:
            now = monotonic()
            first = queue.first(self._policy, now)
            replica = None if first is None else self._least_busy(first)
            if replica is None:
                return
            choice = compose(queue, self._policy, now, idle=replica.is_idle, share=self._share(replica))
            if not choice.batch:
                if choice.wake_at is not None:
                    self._wake_at(choice.wake_at - now)
                return
            replica.send(choice.batch, now)

    def _share(self, replica: Replica) -> float:
        """Return what part of the waiting documents a replica should take, by how fast all of them are."""
        if len(self._replicas) == 1:
            return 1.0
        rates = [one.rows_per_s for one in self._replicas]
        return replica.rows_per_s / sum(rates) if all(rates) else 1 / len(rates)

    def _wake_at(self, delay_s: float) -> None:
        if self._wake is not None:
            self._wake.cancel()
        self._wake = asyncio.get_running_loop().call_later(delay_s, self._pump)

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
        self._queue.put_back(waiting)
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


def _clamped(seconds: float) -> float:
    return min(max(seconds, _MIN_RETRY_S), _MAX_RETRY_S)
