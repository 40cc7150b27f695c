"""Waiting requests of one priority, in which clients take turns.

Each client's requests stand in the order they came. Between clients it goes by documents: who has sent many waits
behind who has sent few, in the measure of their weights. Pure: no clock, no IO.

Source: P. Goyal, H. Vin, H. Cheng, "Start-time fair queueing", 1996.
"""

from bisect import bisect_left, bisect_right
from collections import deque

from dure.gateway.job import Job

_MAX_CLIENTS = 4096
"""Of which it is kept where their next requests begin; above that, those that are ahead of nobody are let go."""


class Lane(deque[Job]):
    """Requests by their turns.

    A request's turn is the work, in documents for a client of weight 1, after which it would begin if all clients were
    served side by side. It does not change while the request waits. With one client it is the order in which they came.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._ends: dict[str, float] = {}

    def turn_of(self, client: str) -> float:
        """Return the turn that a new request of a client would get."""
        return max(self._ends.get(client, 0.0), self._now)

    def add(self, job: Job) -> None:
        """Put a request where its client's turn is."""
        turn = self._ends.get(job.client, 0.0)  # as turn_of, without a call
        if turn < self._now:
            turn = self._now
        job.turn = turn
        self._ends[job.client] = turn + (job.rows or 1) / job.weight
        if not self or self[-1].turn <= turn:
            self.append(job)
        else:
            self.insert(bisect_right(self, turn, key=_turn), job)
        if len(self._ends) > _MAX_CLIENTS:
            self._ends = {client: end for client, end in self._ends.items() if end > self._now}

    def put_back(self, job: Job) -> None:
        """Put a request where it was."""
        if not self or self[0].turn >= job.turn:
            self.appendleft(job)
        else:
            self.insert(bisect_left(self, job.turn, key=_turn), job)

    def took(self, first: Job | None = None) -> None:
        """Requests were taken out; it was the turn of `first`, if that was one of them."""
        if first is not None and first.turn > self._now:
            self._now = first.turn
        if not self:
            self._ends.clear()  # nobody waits, so nobody is ahead of anybody

    def num_behind(self, client: str) -> int:
        """Return how many requests a new one of a client would stand before."""
        turn = self.turn_of(client)
        return 0 if not self or self[-1].turn <= turn else len(self) - bisect_right(self, turn, key=_turn)


def _turn(job: Job) -> float:
    return job.turn
