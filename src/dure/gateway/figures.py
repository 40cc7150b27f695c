"""What the gateway counts and times: requests, and for each Executor its queue, batches and stages.

Numbers only, cheap to write on every request. How they are shown is `metrics_page.py`'s.
"""

from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from time import monotonic
from typing import TypeVar

from msgspec import Struct

from dure.errors import Cancelled, DeadlineExceeded, DureError, EndpointNotFound, OverloadError
from dure.executor.endpoints import DEFAULT
from dure.gateway.job import Job
from dure.transport.messages import Spent

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Bounds of buckets for durations."""
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""For numbers of requests and documents."""
COSTS = tuple(2.0**power for power in range(4, 21, 2))
SHARES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75)

STAGES = ("queue", "wait", "decode", "compute", "encode")
"""Of a request at an Executor, one after the other: their sums add up to the whole."""


C = TypeVar("C")

_MAX_EXACT_ROWS = 256
_MAX_RECENT, _MAX_SHOWN = 20, 300
_MAX_ENDPOINTS = 1024  # a default method answers any name a client thinks of


class EndpointRequests(Struct):
    """What became of the requests to one endpoint. `last_at` is a moment of the monotonic clock."""

    num_answered: int = 0
    answered_s: float = 0.0
    rows_answered: int = 0
    num_failed: int = 0
    failed_s: float = 0.0
    last_at: float = 0.0


class Batches(Struct):
    """Batches of one size: how many, how many requests were in them, and what their stages took, in seconds."""

    num: int = 0
    num_requests: int = 0
    decode_s: float = 0.0
    compute_s: float = 0.0
    encode_s: float = 0.0


class EndpointCalls(Struct):
    """What calls of one endpoint's method took. `queue_s` is what all requests waited, in the gateway and after.

    `batches`: number of documents -> batches of that size; above 256 documents it is rounded up to a power of two.
    """

    queue_s: float = 0.0
    batches: dict[int, Batches] = {}


class Fault(Struct):
    """A request that failed: when, by the monotonic clock, where, and how."""

    at: float
    endpoint: str
    code: str
    message: str


class Histogram:
    """How often values fell between some bounds, and their sum.

    Args:
        bounds: Upper bounds of the buckets, ascending; one more holds what is greater.
    """

    def __init__(self, bounds: Iterable[float] = SECONDS) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times


class RequestFigures:
    """What became of the requests of a Flow, whatever Executors they visited."""

    def __init__(self) -> None:
        self.seconds = Histogram()
        self.outcomes: Counter[str] = Counter()
        self.endpoints: dict[str, EndpointRequests] = {}
        self.recent: deque[Fault] = deque(maxlen=_MAX_RECENT)

    def finished(self, error: DureError | None, seconds: float, endpoint: str = "", rows: int = 0) -> None:
        """Count a request for some documents that is answered, or failed with `error`, after some time."""
        self.outcomes[outcome_of(error)] += 1
        self.seconds.observe(seconds)
        if error is not None:
            said = str(error.args[0]) if error.args else ""
            self.recent.append(Fault(monotonic(), endpoint[:_MAX_SHOWN], error.code, said[:_MAX_SHOWN]))
        if isinstance(error, EndpointNotFound):
            return
        counts = self.endpoints.get(endpoint) or _bounded(self.endpoints, endpoint, EndpointRequests)
        counts.last_at = monotonic()
        if error is None:
            counts.num_answered += 1
            counts.answered_s += seconds
            counts.rows_answered += rows
        else:
            counts.num_failed += 1
            counts.failed_s += seconds

    def cancelled(self) -> None:
        """Count a request whose caller is gone or wants it no more."""
        self.outcomes["cancelled"] += 1


class ExecutorFigures:
    """What happened at one Executor."""

    def __init__(self) -> None:
        self.stages = {name: Histogram() for name in STAGES}
        self.method_stages: defaultdict[str, Histogram] = defaultdict(Histogram)
        self.batch_requests = Histogram(COUNTS)
        self.batch_rows = Histogram(COUNTS)
        self.batch_cost = Histogram(COSTS)
        self.padding = Histogram(SHARES)
        self.refused: Counter[str] = Counter()
        self.num_calls = 0
        self.num_cached = 0
        self.busy_s: defaultdict[int, float] = defaultdict(float)
        self.endpoints: dict[str, EndpointCalls] = {}

    def refuse(self, error: DureError) -> None:
        """Count a request that was not queued."""
        self.refused[error.code] += 1

    def served(self, replica: int, jobs: list[Job], spent: Spent, wait_s: float) -> None:
        """Count a batch that a replica has answered; `wait_s` is what it waited in the worker and on the way."""
        stages, count = self.stages, len(jobs)
        endpoint = jobs[0].endpoint
        calls = self.endpoints.get(endpoint) or _bounded(self.endpoints, endpoint, EndpointCalls)
        queue = stages["queue"]
        rows, cost, longest = 0, 0.0, 0.0
        for job in jobs:
            queue_s = job.sent_at - job.arrived_at
            queue.observe(queue_s)
            calls.queue_s += queue_s + wait_s
            rows += job.rows
            cost += job.cost
            longest = max(longest, job.longest)
        stages["wait"].observe(wait_s, count)
        stages["decode"].observe(spent.decode_s, count)
        stages["compute"].observe(spent.compute_s, count)
        stages["encode"].observe(spent.encode_s, count)
        for name, seconds in spent.stages.items():
            self.method_stages[name].observe(seconds, count)
        self.batch_requests.observe(count)
        self.batch_rows.observe(rows)
        if cost != rows:  # by rows, nothing is padded
            self.batch_cost.observe(cost)
            self.padding.observe(1 - cost / (longest * rows) if longest * rows else 0.0)
        self.num_calls += spent.num_calls
        self.num_cached += spent.num_cached
        self.busy_s[replica] += spent.compute_s
        batches = calls.batches.setdefault(_size(rows), Batches())
        batches.num += 1
        batches.num_requests += count
        batches.decode_s += spent.decode_s
        batches.compute_s += spent.compute_s
        batches.encode_s += spent.encode_s


def outcome_of(error: DureError | None) -> str:
    """Return what became of a request, in one word."""
    if error is None:
        return "answered"
    kinds = {DeadlineExceeded: "expired", OverloadError: "refused", Cancelled: "cancelled"}
    return next((word for kind, word in kinds.items() if isinstance(error, kind)), "failed")


def _size(rows: int) -> int:
    return rows if rows <= _MAX_EXACT_ROWS else 1 << (rows - 1).bit_length()


def _bounded(found: dict[str, C], endpoint: str, kind: type[C]) -> C:
    return found.setdefault(endpoint if len(found) < _MAX_ENDPOINTS else DEFAULT, kind())
