"""The gateway's end of the wire to one worker: sends batches, gives each request its answer.

Knows what it has sent and not got back, so that the dispatcher can tell what a dead worker had begun.
"""

from functools import partial
from time import monotonic
from typing import Protocol

import msgspec

from dure.errors import DecodeError, DureError, WorkerCrashed, from_wire
from dure.executor.endpoints import DEFAULT
from dure.gateway.figures import ExecutorFigures
from dure.gateway.job import Answer, Job, Order, Payload
from dure.gateway.pace import Pace
from dure.served import Served
from dure.transport.connection import Connection
from dure.transport.frames import Frame, Kind
from dure.transport.messages import (
    JOIN,
    BatchCall,
    BatchReply,
    Item,
    Leave,
    Part,
    Spent,
    WorkerHello,
    check_version,
    decode,
    decode_error,
    encode,
)

_MAX_FRAME_BYTES = 0xFFFFFFFF
_SHORT_CALL_S = 0.002
_SLOTS_SHORT = 8
_LONG_CALL_S = 0.01
_LEAD = 0.15  # of a call: so much before its expected end the next is sent
_SOON_S = 0.0005  # what is early by less is not: timers are no finer
_PACE_WEIGHT = 1 / 8
_MOST_SLOWNESS = 16.0  # a single call that hung for a while says little of the next
_ORDERS = {Order.CANCEL: Kind.CANCEL, Order.HOLD: Kind.HOLD, Order.GO_ON: Kind.GO_ON}


class Owner(Protocol):
    """Who hears of a replica."""

    @property
    def figures(self) -> ExecutorFigures:
        """Where it is counted what replicas did."""

    @property
    def pace(self) -> Pace:
        """How long calls take, at any replica."""

    def replica_ready(self, replica: "Replica") -> None:
        """Its worker has said what it answers."""

    def replica_free(self, replica: "Replica") -> None:
        """A slot became free."""

    def replica_leaves(self, replica: "Replica", waiting: list[Job]) -> None:
        """Its worker ends in order; some requests it never began."""

    def replica_lost(self, replica: "Replica") -> None:
        """The connection is gone, whoever ended it and why."""


class Replica:
    """One worker.

    Args:
        number: Its number among the replicas of its Executor.
        address: Where its worker listens.
        owner: Who hears of it.

    Attributes:
        watched: Whether somebody looks how long it is at a call.
        silent: Whether its worker does not answer when it is asked whether it is there.
        slowness: How long its calls take, in proportion to those of all replicas with as many documents.
    """

    def __init__(self, number: int, address: str, owner: Owner) -> None:
        self.number, self.address = number, address
        self.watched = self.silent = False
        self._owner = owner
        self.hello: WorkerHello | None = None
        self.refused: DureError | None = None
        self.slots = 0
        self.mixed = False
        self.slowness = 1.0
        self._call_s = 0.0
        self._paced_at = 0.0
        self._oldest_since = 0.0
        self._held: set[int] = set()
        self.rows_in_flight = 0
        self.in_flight: dict[int, list[Job]] = {}
        self._leaving = False
        self._last = 0
        self.connection = Connection(_MAX_FRAME_BYTES, self._on_frame, self._on_closed)

    def is_idle(self, job: Job) -> bool:
        """Whether it could begin with this request at once."""
        if self.hello is None or self._concurrent(job):
            return True
        return self.num_in_order < self.hello.concurrency

    def early_s(self, job: Job, now: float) -> float:
        """Return by how much it is too early to send this request: it would only wait there, and no longer here.

        While it waits here it can be merged with what comes, overtaken by what is more urgent, or withdrawn. It is sent
        shortly before the call under way is expected to be done, or at once where calls are short.
        """
        if self._call_s < _LONG_CALL_S or self.is_idle(job):
            return 0.0
        left_s = self.work_s() * self.slowness - (now - self._paced_at)
        early_s = left_s - max(left_s, self._call_s) * _LEAD
        return early_s if early_s > _SOON_S else 0.0

    def silent_s(self) -> float | None:
        """Return for how long at least it has been at its oldest call; None if it has nothing to do.

        Whatever else it answers meanwhile does not count: calls are begun in the order in which they are sent.
        """
        if not self.in_flight:
            return None
        return 0.0 if self._held else monotonic() - self._oldest_since

    def send(self, jobs: list[Job], now: float) -> None:
        """Send one batch; `now` is the moment of the monotonic clock."""
        self._last += 1
        if not self.in_flight:
            self._oldest_since = self._paced_at = now
        self.in_flight[self._last] = jobs
        first = jobs[0]
        items: list[Item] = []
        bodies: list[Payload] = []
        tell = partial(self._tell, self._last)
        for job in jobs:
            items.append(Item(job.form, job.rows, [len(payload) for payload in job.payloads]))
            bodies += job.payloads
            job.sent_at, job.tell = now, tell
            self.rows_in_flight += job.rows
        header = encode(BatchCall(first.endpoint, first.parameters, first.stream, items))
        self.connection.send(Kind.CALL, self._last, header, bodies)

    def takes(self, job: Job) -> bool:
        """Whether a slot is free for this request, where not all endpoints are alike (`mixed`)."""
        if self.hello is None or self._concurrent(job):
            return True
        return self.num_in_order < self.hello.slots_in_order

    def abandon(self) -> tuple[list[Job], list[Job]]:
        """Give up what was sent and is not answered: requests that may have begun, and those that cannot have."""
        begun: list[Job] = []
        waiting: list[Job] = []
        in_order = [number for number, jobs in self.in_flight.items() if not self._concurrent(jobs[0])]
        if self.connection.out_of_reach:
            in_order = []  # it goes on with what it has, wherever it is
        oldest = next(iter(in_order), 0)
        for number, jobs in self.in_flight.items():
            (waiting if number in in_order and number != oldest else begun).extend(jobs)
        self.in_flight.clear()
        self._held.clear()
        return begun, waiting

    @property
    def num_in_order(self) -> int:
        """How many of the calls that it has are begun one after the other."""
        if not self.mixed:
            return len(self.in_flight)
        return sum(not self._concurrent(jobs[0]) for jobs in self.in_flight.values())

    def work_s(self) -> float:
        """Return how long it will be at what it has that is begun one after the other, at the pace of all replicas."""
        if not self.in_flight:
            return 0.0
        if not self.mixed:
            return self._owner.pace.expected_s(self.rows_in_flight, len(self.in_flight))
        calls = [jobs for jobs in self.in_flight.values() if not self._concurrent(jobs[0])]
        return self._owner.pace.expected_s(sum(job.rows for jobs in calls for job in jobs), len(calls))

    def _concurrent(self, job: Job) -> bool:
        if not self.mixed or self.hello is None or job.endpoint == JOIN:
            return False
        endpoints = self.hello.endpoints
        return (endpoints.get(job.endpoint) or endpoints[DEFAULT]).concurrent

    def _tell(self, number: int, order: Order) -> None:
        jobs = self.in_flight.get(number)
        if jobs and (order is Order.CANCEL or self._concurrent(jobs[0])):
            if order is Order.CANCEL and not all(job.withdrawn for job in jobs):
                return
            if order is Order.HOLD:
                self._held.add(number)
            elif order is Order.GO_ON:
                self._sign_of_life(number)
            self.connection.send(_ORDERS[order], number, b"", [])

    def _sign_of_life(self, number: int) -> None:
        self._held.discard(number)
        if number == next(iter(self.in_flight), 0):
            self._oldest_since = monotonic()

    def _on_frame(self, connection: Connection, frame: Frame) -> None:
        if frame.kind is Kind.REPLY:
            self._on_reply(frame)
        elif frame.kind is Kind.PART:
            self._sign_of_life(frame.id)
            rows = decode(Part, frame.header).rows
            for job in self.in_flight.get(frame.id, ()):
                if not job.withdrawn:
                    job.on_part(Answer(rows, frame.body))
        elif frame.kind is Kind.LEAVE:
            self._leave(decode(Leave, frame.header).begun)
        elif frame.kind is Kind.HELLO:
            try:
                hello = decode(WorkerHello, frame.header)
                check_version(hello.version, f"the worker {hello.name}")
            except DecodeError as error:
                self.refused = error
                connection.close()
                return
            self.hello = hello
            self.slots = hello.slots
            self.mixed = any(info.concurrent for info in hello.endpoints.values())
            self._owner.replica_ready(self)

    def _leave(self, begun: list[int]) -> None:
        self.slots, self._leaving = 0, True
        left = [number for number in self.in_flight if number not in begun]
        self._owner.replica_leaves(self, [job for number in left for job in self.in_flight.pop(number)])
        self._hang_up()

    def _hang_up(self) -> None:
        if self._leaving and not self.in_flight:
            self.connection.close()

    def _pace(self, rows: int) -> float:
        """Measure how fast it is, from one answer to the next while it has something to do; return the moment."""
        now = monotonic()
        took_s = max(now - self._paced_at, 1e-9)
        self._paced_at = now
        expected_s = self._owner.pace.expected_s(rows)
        if expected_s:
            self.slowness += (min(took_s / expected_s, _MOST_SLOWNESS) - self.slowness) * _PACE_WEIGHT
        self._owner.pace.saw(rows, took_s)
        self._call_s += (took_s - self._call_s) * (_PACE_WEIGHT if self._call_s else 1.0)
        # While calls are short, more of them wait in the worker's socket: then not every one wakes two processes.
        if self.hello is not None and not self.mixed and not self._leaving:
            self.slots = _SLOTS_SHORT if self._call_s < _SHORT_CALL_S else self.hello.slots
        return now

    def _on_reply(self, frame: Frame) -> None:
        self._sign_of_life(frame.id)
        jobs = self.in_flight.pop(frame.id)
        rows = sum([job.rows for job in jobs])
        self.rows_in_flight -= rows
        now = self._pace(rows)
        reply = decode(BatchReply, frame.header)
        outcomes, spent = reply.outcomes, reply.spent
        worked_s = spent.decode_s + spent.compute_s + spent.encode_s
        wait_s = max(now - jobs[0].sent_at - worked_s, 0.0)
        self._owner.figures.served(self.number, jobs, spent, wait_s)
        # The slot is free before the answers are told, which may send more work here.
        if len(outcomes) != len(jobs):
            error = WorkerCrashed(f"a worker answered {len(outcomes)} requests where {len(jobs)} were sent")
            for job in jobs:
                job.finish(error)
        elif len(jobs) == 1 and not outcomes[0].failed:
            served = self._served(jobs[0], spent, wait_s, len(jobs), rows)
            jobs[0].finish(Answer(outcomes[0].rows, frame.body, outcomes[0].result, served))
        else:
            body, at = memoryview(frame.body), 0
            for job, outcome in zip(jobs, outcomes, strict=True):
                data = body[at : at + outcome.size]
                at += outcome.size
                served = self._served(job, spent, wait_s, len(jobs), rows)
                job.finish(_error(data) if outcome.failed else Answer(outcome.rows, data, outcome.result, served))
        self._owner.replica_free(self)
        self._hang_up()

    def _served(self, job: Job, spent: Spent, wait_s: float, requests: int, rows: int) -> Served:
        return Served(
            replica=self.number,
            queue_s=job.sent_at - job.arrived_at,
            wait_s=wait_s,
            compute_s=spent.compute_s,
            serialize_s=spent.decode_s + spent.encode_s,
            batch_requests=requests,
            batch_rows=rows,
        )

    def _on_closed(self, connection: Connection) -> None:
        self._owner.replica_lost(self)


def _error(data: memoryview) -> DureError:
    try:
        return from_wire(decode_error(data))
    except msgspec.DecodeError as error:
        return DecodeError(f"a worker's error could not be read: {error}")
