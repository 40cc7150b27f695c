"""Waiting requests of one priority, in which clients take turns.

Each client's requests stand in the order they came. Between clients it goes by documents: who has sent many waits behind
who has sent few, in the measure of their weights. Pure: no clock, no IO.

Source: P. Goyal, H. Vin, H. Cheng, "Start-time fair queueing", 1996.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from typing import TYPE_CHECKING

from dure.gateway.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_CLIENTS = 4096
"""Of which it is kept where their next requests begin; above that, those that are not ahead of the others are let go."""


def _turn(job: Job) -> float:
    return job.turn


class Lane(deque[Job]):
    """Requests by their turns.

    A request's turn is the amount of work, in documents for a client of weight 1, after which it would begin if all
    clients were served side by side. It does not change while the request waits. With one client it is the order in
    which they came.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._ends: dict[str, float] = {}

    def add(self, job: Job) -> None:
        """Put a request where its client's turn is."""
        start = self._ends.get(job.client, 0.0)
        if start < self._now:
            start = self._now
        job.turn = start
        self._ends[job.client] = start + (job.rows or 1) / job.weight
        if not self or self[-1].turn <= start:
            self.append(job)
        else:
            self.insert(bisect_right(self, start, key=_turn), job)
        if len(self._ends) > _MAX_CLIENTS:
            self._ends = {client: end for client, end in self._ends.items() if end > self._now}

    def put_back(self, job: Job) -> None:
        """Put a request where it was."""
        if not self or self[0].turn >= job.turn:
            self.appendleft(job)
        else:
            self.insert(bisect_left(self, job.turn, key=_turn), job)

    def served(self, job: Job) -> None:
        """It was this request's turn."""
        self._now = max(self._now, job.turn)
        if not self:
            self._ends.clear()  # nobody waits, so nobody is owed anything

    def rows_before(self, client: str, rows: int, weight: float) -> int:
        """Return how many of the waiting documents come before a new request of a client."""
        if len(self._ends) < 2:
            return sum(job.rows for job in self)
        waiting: dict[str, tuple[float, int]] = {}
        for job in self:
            _, before = waiting.get(job.client, (1.0, 0))
            waiting[job.client] = (job.weight, before + job.rows)
        own = (waiting.get(client, (1.0, 0))[1] + rows) / weight
        return int(sum(min(count, own * share) for share, count in waiting.values()))


def heaviest(jobs: "Callable[[], None]") -> None: ...
