"""What the gateway counts and times: requests, and for each Executor its queue, batches and stages.

Numbers only, cheap to write on every request. How they are shown is `metrics_page.py`'s.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable

from dure.errors import Cancelled, DeadlineExceeded, DureError, OverloadError
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

    def finished(self, error: DureError | None, seconds: float) -> None:
        """Count a request that is answered, or failed with `error`, after some time."""
        self.outcomes[outcome_of(error)] += 1
        self.seconds.observe(seconds)

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

    def refuse(self, error: DureError) -> None:
        """Count a request that was not queued."""
        self.refused[error.code] += 1

    def served(self, replica: int, jobs: list[Job], spent: Spent, wait_s: float) -> None:
        """Count a batch that a replica has answered; `wait_s` is what it waited in the worker and on the way."""
        stages, count = self.stages, len(jobs)
        queue = stages["queue"]
        rows, cost, longest = 0, 0.0, 0.0
        for job in jobs:
            queue.observe(job.sent_at - job.arrived_at)
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


def outcome_of(error: DureError | None) -> str:
    """Return what became of a request, in one word."""
    if error is None:
        return "answered"
    kinds = {DeadlineExceeded: "expired", OverloadError: "refused", Cancelled: "cancelled"}
    return next((word for kind, word in kinds.items() if isinstance(error, kind)), "failed")
