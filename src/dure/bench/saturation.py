"""Where a service is full: the curve of latency over load, and the two points on it that have a name.

Pure; knows levels of load and what they came to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

MIN_ANSWERED = 0.97  # of the rate that was offered; less was not kept up with
MAX_FAILED = 0.01  # of the requests


@dataclass(frozen=True, slots=True)
class Level:
    """One rate of requests.

    Args:
        offered: Requests per second that were to be sent.
        answered: Requests per second that were answered.
        latency_s: A high percentile of the answered ones' latency.
        failed: Share of the requests that failed.
        queue_grows: Whether latency rose all the time.
    """

    offered: float
    answered: float
    latency_s: float
    failed: float
    queue_grows: bool

    @property
    def kept_up(self) -> bool:
        """Whether the service did what it was asked for, and could have gone on."""
        return self.answered >= MIN_ANSWERED * self.offered and self.failed <= MAX_FAILED and not self.queue_grows


def sustained(levels: Sequence[Level]) -> Level | None:
    """Return the highest level up to which all were kept up with."""
    ascending = sorted(levels, key=lambda level: level.offered)
    return max(takewhile(lambda level: level.kept_up, ascending), key=lambda level: level.offered, default=None)


def knee(levels: Sequence[Level]) -> Level | None:
    """Return the level with most answers for the wait: the rate over the latency is greatest there.

    Below it, more load costs little waiting; beyond it, little is gained and much is waited. For one server with
    random arrivals and service times it lies at half the capacity; for one that batches, close to the capacity.

    Source: Kleinrock, "Power and deterministic rules of thumb for probabilistic problems in computer communications",
    ICC (1979).
    """
    good = [level for level in levels if level.failed <= MAX_FAILED and level.latency_s > 0.0]
    return max(good, key=lambda level: level.answered / level.latency_s, default=None)
