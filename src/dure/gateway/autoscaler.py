"""How many replicas an Executor should have: more while requests wait long, fewer while most of them idle.

Pure: no clock, no IO. `dispatcher.py` looks at the load and asks.
"""

from typing import NamedTuple

LOOK_S = 0.5
"""Seconds between two looks at the load, while there is any."""

_LONG_WAIT_S = 1.0
_UP_AFTER_S = 1.0
_DOWN_AFTER_S = 30.0
_AGAIN_AFTER_S = 30.0


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
        self._differs_since: float | None = None

    @property
    def at_rest(self) -> bool:
        """Whether there is nothing to take back."""
        return self._wanted == self._least

    def decide(self, load: Load) -> int | None:
        """Return how many replicas are wanted from now on; None if that is as it was, or was asked for lately."""
        lacking = load.replicas < self._wanted  # one is on its way: what it brings is seen before another is asked for
        self._long_since = _since(
            self._long_since, load.now, holds=load.wait_s > _LONG_WAIT_S and not lacking and self._wanted < self._most
        )
        self._idle_since = _since(
            self._idle_since, load.now, holds=load.busy < load.replicas and self._wanted > self._least
        )
        self._differs_since = _since(self._differs_since, load.now, holds=load.replicas != self._wanted)
        if _lasted(self._long_since, load.now, _UP_AFTER_S):
            self._wanted += 1
        elif _lasted(self._idle_since, load.now, _DOWN_AFTER_S):
            self._wanted -= 1
        elif _lasted(self._differs_since, load.now, _AGAIN_AFTER_S):
            self._differs_since = None  # it could not be started, or was asked for while something else went on
            return self._wanted
        else:
            return None
        self._long_since = self._idle_since = self._differs_since = None
        return self._wanted


def _lasted(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since >= seconds


def _since(moment: float | None, now: float, *, holds: bool) -> float | None:
    if not holds:
        return None
    return now if moment is None else moment
