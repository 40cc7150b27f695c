"""Whether workers are there: each is asked from time to time, and one that does not answer is silent until it does.

A thread of the worker answers, also while a method runs. What cannot answer is a process that is stopped or stuck, or
one that a call of C keeps from running Python; the latter works, and is waited for. One that does not work either is
ended, so that another takes its place. Knows no processes' ends, which are seen at once, and nothing of requests.
"""

import contextlib
import time
from collections.abc import Callable, Iterable

from dure.backends.slot import Slot
from dure.worker.assignment import ALIVE

_EVERY_S = 0.75
_PATIENCE_S = 1.0  # with the pause before it: whoever falls silent is known to be within two seconds
_IDLE_S = 2.5  # silent for so long without any processor time: it is not going to answer


class Pulse:
    """Asks, and tells.

    Args:
        tell: Called with a slot that fell silent, or is heard again.
        end: Called with one that is to be ended: it neither answers nor works.
    """

    def __init__(self, tell: Callable[[Slot], None], end: Callable[[Slot], None]) -> None:
        self._tell = tell
        self._end = end
        self._idle: dict[Slot, tuple[float, float]] = {}
        """Of who is silent: the processor time last seen, and since when it is that."""
        self._ask_at = 0.0

    def next_moment(self, slots: Iterable[Slot]) -> float | None:
        """Return when to look again, on the monotonic clock; None while nobody is to be asked."""
        moments = [slot.pulse_asked_at + _PATIENCE_S for slot in slots if slot.pulse_asked_at and not slot.silent]
        moments += [since + _IDLE_S for _, since in self._idle.values()]
        return min([self._ask_at, *moments]) if any(slot.serves for slot in slots) else None

    def look(self, slots: Iterable[Slot]) -> None:
        """Ask whoever is to be asked, and see who has not answered. What has come is to be read before."""
        now = time.monotonic()
        due = now >= self._ask_at
        if due:
            self._ask_at = now + _EVERY_S
        for slot in slots:
            if not slot.serves:
                continue
            if due and not slot.pulse_asked_at and slot.child is not None:
                slot.pulse_asked_at = now
                with contextlib.suppress(OSError):  # it has died, which the watching thread finds out
                    slot.child.control.send(ALIVE)
            elif slot.pulse_asked_at and not slot.silent and now - slot.pulse_asked_at > _PATIENCE_S:
                slot.silent = True
                self._tell(slot)
            if slot.silent:
                self._look_at_silent(slot, now)
        self._idle = {slot: known for slot, known in self._idle.items() if slot.silent and slot.serves}

    def _look_at_silent(self, slot: Slot, now: float) -> None:
        spent = None if slot.child is None else slot.child.processor_time_s()
        if spent is None:
            return  # nobody knows whether it works
        before, since = self._idle.get(slot, (None, now))
        stuck = spent == before and now - since >= _IDLE_S
        self._idle[slot] = (spent, since if spent == before and not stuck else now)
        if stuck:
            self._end(slot)

    def heard(self, slot: Slot) -> None:
        """A worker has answered."""
        slot.pulse_asked_at = 0.0
        if slot.silent:
            slot.silent = False
            self._idle.pop(slot, None)
            self._tell(slot)
