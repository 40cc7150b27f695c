"""The queue of one Executor, and its replicas: gives every free slot the next batch.

The asyncio shell around `scheduler.py`. What a dead worker had not begun goes back to the head of the queue; what it
may have begun is reported, since nobody knows what it did. Retry lives here and nowhere else.
"""

import asyncio
import contextlib
from collections.abc import Callable
from math import ceil, inf
from time import monotonic
from typing import Any

from dure.errors import DeadlineExceeded, DureError, QueueFull, WorkerCrashed
from dure.executor.endpoints import DEFAULT, UNMERGED
from dure.gateway.assignment import Node
from dure.gateway.autoscaler import LOOK_S, Autoscaler, Load
from dure.gateway.cost import assess
from dure.gateway.figures import ExecutorFigures
from dure.gateway.job import Job
from dure.gateway.pace import Pace
from dure.gateway.pool import Pool
from dure.gateway.replica import Replica
from dure.gateway.scheduler import Queue, compose
from dure.spec import BatchSpec
from dure.transport import door
from dure.transport.messages import EndpointInfo  # noqa: TC001 - in the annotation of an attribute

_MIN_RETRY_S, _MAX_RETRY_S = 0.1, 30.0


class Dispatcher:
    """Queue and replicas of one Executor of the Flow.

    Args:
        name: The Executor's name.
        node: Its settings.
        on_change: Called when a replica came or went.
        ask: Called with what is asked of whoever starts and ends workers.
    """

    def __init__(
        self, name: str, node: Node, on_change: Callable[[], None], ask: Callable[[dict[str, Any]], None]
    ) -> None:
        self.name = name
        self._node = node
        self._on_change = on_change
        self._ask = ask
        self._scaler = Autoscaler(node.replicas, node.max_replicas) if node.max_replicas > node.replicas else None
        self._look: asyncio.TimerHandle | None = None
        self.endpoints: dict[str, EndpointInfo] = {}
        self.figures = ExecutorFigures()
        self.pace = Pace()
        self._queue = Queue()
        self._replicas = Pool(self.pace)
        self._told: dict[Replica, Callable[[DureError | None], None]] = {}
        self._failure: DureError | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def available(self) -> bool:
        """Whether a replica is there, and answers."""
        return any(not replica.silent for replica in self._replicas)

    @property
    def replicas(self) -> list[Replica]:
        """Those that are there."""
        return list(self._replicas)

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

    async def attach(self, address: str, number: int, told: Callable[[DureError | None], None]) -> None:
        """Connect to a worker, whose address says how; `told` is called when it can be used, or with why not."""
        if any(replica.address == address for replica in self._replicas):
            told(None)  # its connection was lost, and has been made again already
            return
        replica = Replica(number, address, self)
        self._told[replica] = told
        await door.attach(replica.connection, address)

    def replica_ready(self, replica: Replica) -> None:
        """Called by a replica that can be used."""
        if replica.hello is not None:
            self.endpoints = replica.hello.endpoints
        self._failure = None
        self._replicas.add(replica)
        self._on_change()
        self._told.pop(replica)(None)
        self._pump()

    def replica_free(self, replica: Replica) -> None:
        """Called by a replica that has answered."""
        if replica in self._replicas:
            self._replicas.changed(replica)
        self._pump()

    def replica_leaves(self, replica: Replica, waiting: list[Job]) -> None:
        """Called by a replica that answers what it has begun, and ends."""
        self._replicas.remove(replica)
        self._on_change()
        self._ask({"left": replica.address})
        self._queue.put_back(waiting)
        self._pump()

    def replica_lost(self, replica: Replica) -> None:
        """Called by a replica that is gone."""
        told = self._told.pop(replica, None)
        if told is not None:
            told(replica.refused or WorkerCrashed(f"{self.name} closed the connection before it said hello"))
            return
        begun, waiting = replica.abandon()
        if replica in self._replicas:
            self.replica_leaves(replica, waiting)
        error = WorkerCrashed(
            f"the worker of {self.name} died while it held this request; whether it had any effect is unknown."
            " It is not sent again by itself; send it again if that is safe."
        )
        for job in begun:
            job.finish(error)
        self._reattach(replica)

    def _reattach(self, replica: Replica) -> None:
        # A connection may be lost though its worker lives on; where it does not, nobody listens at the address, and the
        # one that takes its place is attached when it is ready.
        async def attach() -> None:
            with contextlib.suppress(OSError):
                await self.attach(replica.address, replica.number, lambda error: None)

        if not self._closed:
            task = asyncio.get_running_loop().create_task(attach())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def submit(self, job: Job) -> None:
        """Queue a request; its `on_done` is called when it is answered or cannot be."""
        job.arrived_at = now = monotonic()
        error = self._failure or self._refusal(job, now)
        if error is not None:
            self._refuse(job, error)
            return
        self._queue.append(job)
        self._pump()
        if self._scaler is not None and self._look is None:
            self._look_at_load()

    def fail(self, error: DureError) -> None:
        """Give up: no replica will come back. What waits, and what comes later, gets this error."""
        self._failure = error
        for job in self._queue.clear():
            job.finish(error)

    def set_silent(self, address: str, *, silent: bool) -> None:
        """A worker does not answer any more, or again: it gets nothing until it does."""
        for replica in self._replicas:
            if replica.address == address:
                replica.silent = silent
                self._replicas.changed(replica)
        self._on_change()
        self._pump()

    def close(self) -> None:
        """Close the connections to the workers."""
        self._closed = True
        for replica in self._replicas:
            replica.connection.close()

    def _refusal(self, job: Job, now: float) -> DureError | None:
        try:
            assess(job, self._policy(job))
        except DureError as error:
            return error
        if now >= job.deadline:
            return DeadlineExceeded(f"the deadline of this request had passed when it came to {self.name}")
        if len(self._queue) >= self._node.max_queue_size:
            last = self._queue.displaced_by(job)
            if last is None:
                return self._full()
            self._refuse(last, self._full())  # so that who sends much leaves room for who sends little
        if job.deadline < inf:
            # A replica with nothing to do is never spared: how fast it is now is only known when it is asked.
            wait_s = self._estimated_wait_s(self._queue.share_before(job))
            late_s = now + wait_s + self.pace.expected_s(job.rows) - job.deadline
            if wait_s > 0 and late_s > 0:
                return QueueFull(
                    f"{self.name} would be done with this request about {late_s:.2g} s too late; try again in"
                    f" {_clamped(late_s):.1f} s, or give it more time (timeout_s)",
                    retry_after_s=_clamped(late_s),
                )
        return None

    def _full(self) -> QueueFull:
        wait_s = _clamped(self._estimated_wait_s())
        return QueueFull(
            f"{len(self._queue):,} requests wait for {self.name} (max_queue_size={self._node.max_queue_size:,});"
            f" try again in {wait_s:.1f} s",
            retry_after_s=wait_s,
        )

    def _refuse(self, job: Job, error: DureError) -> None:
        self.figures.refuse(error)
        job.finish(error)

    def _estimated_wait_s(self, share: float = 1.0) -> float:
        """Return after how long a replica would begin with a new request; 0 while nobody knows.

        What waits, or that share of it, is taken to be merged into batches as large as they may be.
        """
        more_s = 0.0
        if self._queue:
            largest = self._policy(next(iter(self._queue))).max_batch_size
            rows = round(self._queue.rows * share)
            calls = min(len(self._queue), ceil(rows / largest))
            more_s = self.pace.expected_s(rows, calls)
        return self._replicas.wait_s(more_s)

    def _policy(self, job: Job) -> BatchSpec:
        info = self.endpoints.get(job.endpoint) or self.endpoints.get(DEFAULT)
        return UNMERGED if info is None or len(job.payloads) > 1 else info.batching

    def _pump(self) -> None:
        queue = self._queue
        while queue:
            now = monotonic()
            first = queue.first(self._policy, now)
            if first is None:
                return
            replica, early_s = self._replicas.least_busy(first, now)
            if replica is None:
                if early_s < inf:
                    self._wake_at(early_s)
                return
            choice = compose(queue, self._policy, now, idle=replica.is_idle(first), share=self._replicas.share(replica))
            if not choice.batch:
                if choice.wake_at is not None:
                    self._wake_at(choice.wake_at - now)
                return
            replica.send(choice.batch, now)
            self._replicas.changed(replica)
            if self._node.max_call_s is not None:
                self._watch_call(replica, self._node.max_call_s)

    def _watch_call(self, replica: Replica, max_call_s: float) -> None:
        """End a worker that has been at one call for so long, also one that takes leave."""

        def look() -> None:
            silent_s = replica.silent_s()
            if silent_s is None:
                replica.watched = False
            elif silent_s >= max_call_s:
                self._ask({"hung": replica.address, "after_s": max_call_s})
            else:
                loop.call_later(max_call_s - silent_s, look)

        loop = asyncio.get_running_loop()
        if not replica.watched:
            replica.watched = True
            loop.call_later(max_call_s, look)

    def _look_at_load(self) -> None:
        """Ask for more or fewer replicas; look again while there is anything to decide, and not when all is idle."""
        self._look = None
        if self._scaler is None or self._closed:
            return
        busy = sum(bool(replica.in_flight) for replica in self._replicas)
        wanted = self._scaler.decide(Load(monotonic(), self._estimated_wait_s(), busy, len(self._replicas)))
        if wanted is not None:
            self._ask({"executor": self.name, "replicas": wanted})
        if self._queue or busy or not self._scaler.at_rest:
            self._look = asyncio.get_running_loop().call_later(LOOK_S, self._look_at_load)

    def _wake_at(self, delay_s: float) -> None:
        if self._wake is not None:
            self._wake.cancel()
        self._wake = asyncio.get_running_loop().call_later(delay_s, self._pump)


def _clamped(seconds: float) -> float:
    return min(max(seconds, _MIN_RETRY_S), _MAX_RETRY_S)
