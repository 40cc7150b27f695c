"""How many replicas an Executor should have: more while requests wait long, fewer while most of them idle.

Pure: no clock, no IO. `dispatcher.py` looks at the load and asks.
"""

from typing import NamedTuple

LOOK_S = 0.5
"""Seconds between two looks at the load, while there is any."""

_LONG_WAIT_S = 1.0
_UP_AFTER_S = 1.0
_DOWN_AFTER_S = 30.0


class Load(NamedTuple):
    """What is seen at one moment: when, how long a new request would wait, how many replicas are busy, how many are."""

    now: float
    wait_s: float
    busy: int
    replicas: int


class Autoscaler:
    """Decides from what it has seen lately.

    Args:
        least: Never fewer replicas.
        most: Never more.
    """

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most
        self._wanted = least
        self._long_since: float | None = None
        self._idle_since: float | None = None

    @property
    def at_rest(self) -> bool:
        """Whether there is nothing to take back."""
        return self._wanted == self._least

    def decide(self, load: Load) -> int | None:
        """Return how many replicas are wanted from now on, or None if that is as it was."""
        if load.replicas < self._wanted:
            self._long_since = self._idle_since = None  # one is on its way: what it brings is seen first
            return None
        self._long_since = _since(self._long_since, load.now, holds=load.wait_s > _LONG_WAIT_S)
        self._idle_since = _since(self._idle_since, load.now, holds=load.wait_s == 0 or load.busy < load.replicas)
        if self._long_since is not None and load.now - self._long_since >= _UP_AFTER_S and self._wanted < self._most:
            self._wanted += 1
        elif (
            self._idle_since is not None and load.now - self._idle_since >= _DOWN_AFTER_S and self._wanted > self._least
        ):
            self._wanted -= 1
        else:
            return None
        self._long_since = self._idle_since = None
        return self._wanted


def _since(moment: float | None, now: float, *, holds: bool) -> float | None:
    if not holds:
        return None
    return now if moment is None else moment
