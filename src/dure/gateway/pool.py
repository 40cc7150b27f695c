"""The replicas of one Executor, by how busy they are: what finding one costs does not grow with their number.

Those that may be given more stand in rows, by how many calls they have; those for which it is too early are set aside
until a moment. Knows no queue.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from math import inf

from msgspec import Struct

from dure.gateway.job import Job
from dure.gateway.pace import Pace
from dure.gateway.replica import Replica

_UNIT = 2**20
"""Speeds are whole numbers of so many parts: their sum stays exact, however often one of them changes."""

Row = dict[Replica, None]
"""Replicas in the order in which they came to stand here."""


class _Seen(Struct):
    """What a replica was like when it was last looked at."""

    speed: int = 0
    calls: int = 0
    documents: int = 0


class Pool:
    """Replicas that can be used.

    Args:
        pace: How long calls take, at any of them.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._rows: list[Row] = []
        self._full: Row = {}
        self._aside: Row = {}
        self._row_of: dict[Replica, Row] = {}
        self._due: list[tuple[float, int, Replica]] = []
        self._numbers: dict[Replica, int] = {}  # of the entries in `_due` that still hold
        self._last = 0
        self._seen: dict[Replica, _Seen] = {}
        self._total = _Seen()
        self._num_mixed = 0

    def __len__(self) -> int:
        return len(self._row_of)

    def __iter__(self) -> Iterator[Replica]:
        return iter(list(self._row_of))

    def __contains__(self, replica: Replica) -> bool:
        return replica in self._row_of

    def add(self, replica: Replica) -> None:
        """Take a replica in."""
        self._full[replica] = None
        self._row_of[replica] = self._full
        self._seen[replica] = _Seen()
        self._num_mixed += replica.mixed
        self.changed(replica)

    def remove(self, replica: Replica) -> None:
        """Let a replica go."""
        self._count(replica, _Seen())
        self._move(replica, self._full)
        del self._full[replica], self._row_of[replica], self._seen[replica]
        self._num_mixed -= replica.mixed

    def changed(self, replica: Replica) -> None:
        """Look at a replica again that was given a call, has answered one, or answers at all."""
        calls = len(replica.in_flight)
        self._count(replica, _Seen(round(_UNIT / replica.slowness), calls, replica.rows_in_flight))
        self._move(replica, self._full if calls >= replica.slots or replica.silent else self._row(calls))

    def share(self, replica: Replica) -> float:
        """Return what part of the waiting documents a replica should take, by how fast all of them are."""
        return self._seen[replica].speed / self._total.speed

    def wait_s(self, more_s: float) -> float:
        """Return how long they will be, together, at what they have and at so much more work; 0 if there are none."""
        if self._num_mixed:
            more_s += sum([replica.work_s() for replica in self._row_of])
        elif self._total.calls:
            more_s += self._pace.expected_s(self._total.documents, self._total.calls)
        return more_s * _UNIT / self._total.speed if self._total.speed else 0.0

    def least_busy(self, job: Job, now: float) -> tuple[Replica | None, float]:
        """Return whom to send a request to now; or nobody, and after how long there may be somebody."""
        self._look_at_due(now)
        soonest_s = inf
        for row in self._rows:
            # What a replica of several kinds of endpoints can begin with depends on the request: all are asked.
            for replica in list(row) if self._num_mixed else _firsts(row):
                if replica.mixed and not replica.takes(job):
                    continue
                early_s = replica.early_s(job, now)
                if not early_s:
                    return replica, 0.0
                if self._num_mixed:
                    soonest_s = min(soonest_s, early_s)
                else:
                    self._set_aside(replica, now + early_s)
        return None, min(soonest_s, self._due[0][0] - now) if self._due else soonest_s

    def _look_at_due(self, now: float) -> None:
        while self._due:
            when, number, replica = self._due[0]
            holds = self._numbers.get(replica) == number
            if holds and when > now:
                return
            heappop(self._due)
            if holds:
                self.changed(replica)

    def _set_aside(self, replica: Replica, until: float) -> None:
        self._move(replica, self._aside)
        self._last += 1
        self._numbers[replica] = self._last
        heappush(self._due, (until, self._last, replica))

    def _count(self, replica: Replica, now: _Seen) -> None:
        before, total = self._seen[replica], self._total
        total.speed += now.speed - before.speed
        total.calls += now.calls - before.calls
        total.documents += now.documents - before.documents
        self._seen[replica] = now

    def _row(self, calls: int) -> Row:
        while len(self._rows) <= calls:
            self._rows.append({})
        return self._rows[calls]

    def _move(self, replica: Replica, row: Row) -> None:
        del self._row_of[replica][replica]
        row[replica] = None
        self._row_of[replica] = row
        self._numbers.pop(replica, None)


def _firsts(row: Row) -> Iterator[Replica]:
    """Yield whoever stands first, as long as somebody does."""
    while row:
        yield next(iter(row))
