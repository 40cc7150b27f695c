"""Inside of a Ray actor: begins a worker as a process of its node, and keeps what it says until the Flow asks for it.

The worker ends with the actor, however that ends. Knows nothing of Ray, and nothing of what is said.
"""

import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cloudpickle
import msgspec

from dure.backends.process import ChildProcess

_MAX_KEPT_BYTES = 4 * 2**20
_END_S = 10.0


class Event(NamedTuple):
    """What happened: `said` a message on the private pipe, `wrote` bytes to `stream` (0 is stdout), `ended` and how."""

    kind: Literal["said", "wrote", "ended"]
    value: Any
    stream: int = 0


class Heard(NamedTuple):
    """What happened since the Flow asked last, and how much processor time the worker has had."""

    events: list[Event]
    processor_time_s: float | None


class NodeEnd:
    """One worker, as the Flow's end of the actor knows it."""

    def __init__(self) -> None:
        self._child: ChildProcess | None = None
        self._kept: list[Event] = []
        self._kept_bytes = 0
        self._changed = threading.Condition()
        self._readers: list[threading.Thread] = []

    def begin(self, order: bytes) -> int:
        """Start the worker; return its process id.

        Args:
            order: What it is told and its environment variables, pickled: only here can they be read.
        """
        assignment, env = cloudpickle.loads(order)
        assignment = msgspec.structs.replace(assignment, sys_path=_search_path())
        child = self._child = ChildProcess("dure.worker", assignment, env)
        for number, stream in enumerate(child.outputs):
            os.set_blocking(stream.fileno(), True)
            reader = threading.Thread(target=self._read, args=(number, stream), daemon=True)
            self._readers.append(reader)
            reader.start()
        threading.Thread(target=self._listen, args=(child,), daemon=True).start()
        return child.pid

    def say(self, message: bytes) -> None:
        """Put a message, pickled, into the worker's private pipe."""
        if self._child is not None:
            with contextlib.suppress(OSError):  # it has died, which is told next
                self._child.control.send(cloudpickle.loads(message))

    def hear(self, wait_s: float) -> Heard:
        """Wait for something to happen, but not for longer than that; return all that did."""
        with self._changed:
            self._changed.wait_for(lambda: self._kept, wait_s)
            events, self._kept, self._kept_bytes = self._kept, [], 0
            self._changed.notify_all()
        return Heard(events, None if self._child is None else self._child.processor_time_s())

    def terminate(self) -> None:
        """Ask the worker to finish and end."""
        if self._child is not None:
            self._child.terminate()

    def _listen(self, child: ChildProcess) -> None:
        while (message := child.control.receive()) is not None:
            self._keep(Event("said", message))
        child.wait(_END_S)
        for reader in self._readers:
            reader.join(_END_S)  # what it wrote last goes before its end
        end = child.describe_end()
        child.close()
        self._keep(Event("ended", end))

    def _read(self, number: int, stream: Any) -> None:
        while data := os.read(stream.fileno(), 65536):
            self._keep(Event("wrote", data, number), len(data))

    def _keep(self, event: Event, size: int = 0) -> None:
        with self._changed:
            # A Flow that does not ask has the worker wait for its pipe, as it would on the Flow's own machine.
            self._changed.wait_for(lambda: self._kept_bytes + size <= _MAX_KEPT_BYTES)
            self._kept.append(event)
            self._kept_bytes += size
            self._changed.notify_all()


def _search_path() -> list[str]:
    """Return where this actor finds modules, without those that are Ray's own."""
    import ray

    own = Path(ray.__file__).parent
    paths = [path or os.getcwd() for path in sys.path]
    return [path for path in paths if not Path(path).is_relative_to(own)]
