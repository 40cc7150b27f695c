"""What replicas have done, by their own account: one question to all, and their answers."""

import contextlib
import threading
from collections.abc import Iterable
from typing import Any

from dure.backends.slot import Slot
from dure.errors import BackendError
from dure.worker.metrics import ReplicaMetrics

_ANSWER_S = 10.0


class Inquiry:
    """Asks, one question at a time.

    Args:
        changed: Notified whenever a replica has answered, or cannot any more.
    """

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self._asking = threading.Lock()
        self._number = 0

    def ask(self, slots: Iterable[Slot]) -> dict[str, ReplicaMetrics]:
        """Ask every replica that is ready; one that is started again is left out.

        Raises:
            BackendError: A replica does not answer.
        """
        with self._asking:
            self._number += 1
            asked = [slot for slot in slots if slot.serves]
            for slot in asked:
                slot.asked, slot.figures = self._number, None
                if slot.child is not None:
                    with contextlib.suppress(OSError):  # it has died, which the watching thread finds out
                        slot.child.control.send(self._number)
            with self._changed:
                told = self._changed.wait_for(lambda: not any(slot.asked for slot in asked), _ANSWER_S)
            silent = ", ".join(slot.label for slot in asked if slot.asked)
            if not told and silent:
                raise BackendError(
                    f"{silent}: no figures within {_ANSWER_S:g} s; one call of C keeps Python from running"
                )
            return {slot.label: slot.figures for slot in asked if slot.figures is not None}

    def answered(self, slot: Slot, message: dict[str, Any]) -> None:
        """A replica has answered; what it says of an earlier question comes too late."""
        if message["metrics"] == slot.asked:
            slot.asked, slot.figures = 0, message["figures"]
            with self._changed:
                self._changed.notify_all()
