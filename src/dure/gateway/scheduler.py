"""Which waiting requests go into the next batch.

Pure: no clock, no IO, no state but the queue. `dispatcher.py` is its shell. The request that is first in line is in the
next batch whatever is chosen beside it, so nobody is passed over for the sake of a better batch.
"""

from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import ceil

from msgspec import Struct

from dure.gateway.job import Job
from dure.gateway.lane import Lane
from dure.spec import BatchSpec

_WINDOW = 1024
"""Requests looked at to compose one batch: what this costs is bounded, however long the queue."""


class Queue:
    """Waiting requests: for each priority in the order they came, clients taking turns.

    Attributes:
        rows: Number of documents in all of them.
    """

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self._lanes: dict[int, Lane] = {0: Lane()}
        self._priorities = [0]  # the highest first
        self.rows = 0
        for job in jobs:
            self.append(job)

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def __bool__(self) -> bool:
        return any(self._lanes.values())

    def __iter__(self) -> Iterator[Job]:
        for priority in self._priorities:
            yield from self._lanes[priority]

    def append(self, job: Job) -> None:
        """Put a request behind the others of its client and priority."""
        self._lane(job.priority).add(job)
        self.rows += job.rows

    def put_back(self, jobs: list[Job]) -> None:
        """Put requests before the others of their priority, in their order."""
        for job in reversed(jobs):
            self._lane(job.priority).put_back(job)
            self.rows += job.rows

    def displaced_by(self, job: Job) -> Job | None:
        """Take out the request whose turn comes last, if a new one's would come before; return it."""
        lane = self._lane(job.priority)
        if not lane.num_behind(job.client):
            return None
        last = lane.pop()
        self.rows -= last.rows
        return last

    def share_before(self, job: Job) -> float:
        """Return about what part of the waiting documents would be served before a new request."""
        behind = self._lane(job.priority).num_behind(job.client)
        return 1 - behind / len(self) if behind else 1.0

    def clear(self) -> list[Job]:
        """Take everything; return it."""
        jobs = list(self)
        for lane in self._lanes.values():
            lane.clear()
            lane.took()
        self.rows = 0
        return jobs

    def first(self, policy: Callable[[Job], BatchSpec], now: float) -> Job | None:
        """Return who is first in line; requests that were withdrawn and stand before it are dropped."""
        found: Job | None = None
        for priority in self._priorities:
            lane = self._lanes[priority]
            while lane and lane[0].withdrawn:
                self.rows -= lane.popleft().rows
            if not lane:
                continue
            head = lane[0]
            overdue = now - head.arrived_at > policy(head).max_passed_over_s
            if found is None or (overdue and head.arrived_at < found.arrived_at):
                found = head
        return found

    def beside(self, first: Job) -> Iterator[Job]:
        """Yield requests that merge with the first in line: those of its priority, then the others, the highest first.

        Looks at some `_WINDOW` requests of each priority.
        """
        for priority in sorted(self._priorities, key=lambda p: p != first.priority):
            for job in islice(self._lanes[priority], _WINDOW):
                if job is not first and not job.withdrawn and job.merges_with(first):
                    yield job

    def remove(self, batch: list[Job]) -> None:
        """Take requests out, and those that were withdrawn and stand before them."""
        chosen = set(map(id, batch))
        for priority in {job.priority for job in batch}:
            lane = self._lanes[priority]
            while lane and (lane[0].withdrawn or id(lane[0]) in chosen):
                job = lane.popleft()
                self.rows -= job.rows
                chosen.discard(id(job))
            if chosen:
                rest = [job for job in lane if id(job) not in chosen]
                self.rows -= sum(job.rows for job in lane if id(job) in chosen)
                lane.clear()
                lane.extend(rest)
            lane.took(batch[0] if priority == batch[0].priority else None)

    def _lane(self, priority: int) -> Lane:
        lane = self._lanes.get(priority)
        if lane is None:
            lane = self._lanes[priority] = Lane()
            insort(self._priorities, priority, key=lambda p: -p)
        return lane


class Choice(Struct):
    """What to do now: send this batch; or, where it is empty, wait, if `wake_at` is given until that moment."""

    batch: list[Job]
    wake_at: float | None = None


def compose(queue: Queue, policy: Callable[[Job], BatchSpec], now: float, *, idle: bool, share: float = 1.0) -> Choice:
    """Take the next batch off the queue: who is first in line, and who merges with it and fits.

    Args:
        queue: Waiting requests; what is returned is taken out.
        policy: How requests are merged for the method behind a request.
        now: The moment, in seconds; `Job.arrived_at` is on the same clock.
        idle: Whether the replica has nothing to do. If it has, a batch that could still grow is left to grow.
        share: Of the waiting documents that the replica should take, so that the others are not left without.

    Returns:
        A batch, or until when to wait for one.
    """
    first = queue.first(policy, now)
    if first is None:
        return Choice([])
    spec = policy(first)
    if spec.max_batch_size == 1:
        batch, grows = [first], False
    elif spec.max_padding is None:
        batch, grows = _in_order(first, queue.beside(first), spec)
    else:
        batch, grows = _of_like_cost(first, list(queue.beside(first)), spec)
    # What is left to other replicas does not make a batch one that cannot grow: it would go out small, and too soon.
    taken = _shared(batch, ceil(queue.rows * share))
    batch, grows = _preferred(taken, spec, grows=grows, more=not grows or len(taken) < len(batch))
    if grows:
        if not idle:
            return Choice([])
        if now < first.arrived_at + spec.max_queue_delay_s:
            return Choice([], first.arrived_at + spec.max_queue_delay_s)
    queue.remove(batch)
    return Choice(batch)


def _in_order(first: Job, others: Iterator[Job], spec: BatchSpec) -> tuple[list[Job], bool]:
    batch, rows, cost = [first], first.rows, first.cost
    most_cost = spec.max_batch_cost
    for job in others:
        rows += job.rows
        cost += job.cost
        if rows > spec.max_batch_size or (most_cost is not None and cost > most_cost):
            return batch, False
        batch.append(job)
    return batch, rows < spec.max_batch_size and (most_cost is None or cost < most_cost)


def _of_like_cost(first: Job, others: list[Job], spec: BatchSpec) -> tuple[list[Job], bool]:
    """Grow the batch from the first in line to the side on which less is padded, as long as it fits.

    Padded to the dearest document of the batch, as models are: that times the number of documents is its cost.
    """
    dearer = deque(sorted((job for job in others if job.longest >= first.longest), key=lambda job: job.longest))
    cheaper = deque(sorted((job for job in others if job.longest < first.longest), key=lambda job: -job.longest))
    batch, rows, cost, longest = [first], first.rows, first.cost, first.longest

    def padded(job: Job) -> float:
        return max(longest, job.longest) * (rows + job.rows) - cost - job.cost

    while dearer or cheaper:
        sides = sorted((side for side in (dearer, cheaper) if side), key=lambda side: padded(side[0]))
        side = next((side for side in sides if _fits(side[0], rows, cost, longest, spec)), None)
        if side is None or rows + side[0].rows > spec.max_batch_size:
            return batch, False
        job = side.popleft()
        batch.append(job)
        rows, cost, longest = rows + job.rows, cost + job.cost, max(longest, job.longest)
    return batch, rows < spec.max_batch_size and (spec.max_batch_cost is None or longest * rows < spec.max_batch_cost)


def _fits(job: Job, rows: int, cost: float, longest: float, spec: BatchSpec) -> bool:
    rows, cost, whole = rows + job.rows, cost + job.cost, max(longest, job.longest) * (rows + job.rows)
    return (spec.max_batch_cost is None or whole <= spec.max_batch_cost) and whole - cost <= (
        spec.max_padding or 0.0
    ) * whole


def _shared(batch: list[Job], most_rows: int) -> list[Job]:
    rows = 0
    for count, job in enumerate(batch):
        rows += job.rows
        if rows > most_rows and count > 0:
            return batch[:count]
    return batch


def _preferred(batch: list[Job], spec: BatchSpec, *, grows: bool, more: bool) -> tuple[list[Job], bool]:
    rows, cut = 0, 0
    for count, job in enumerate(batch, 1):
        rows += job.rows
        if rows in spec.preferred_batch_sizes:
            cut = count
    if cut and (more or rows >= max(spec.preferred_batch_sizes)):
        return batch[:cut], False
    return batch, grows
