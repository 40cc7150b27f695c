"""The place of one replica: what it is told, the process in it now, and how often it died.

State only; who starts and stops processes is the supervisor.
"""

import time
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from dure.backends.child import Child
from dure.backends.host import Host
from dure.backends.process import ProcessHost
from dure.errors import DureError, StartFailed
from dure.transport.failure import Failure, rebuild
from dure.worker.assignment import Assignment
from dure.worker.metrics import ReplicaMetrics  # noqa: TC001 - in the annotation of an attribute

_MAX_DEATHS = 5
_DEATHS_WINDOW_S = 60.0
_HERE = ProcessHost()


class Worker(NamedTuple):
    """What a replica's place is made with; see `Slot`."""

    assignment: Assignment
    env: dict[str, str]
    host: Host = _HERE


class Slot:
    """One replica's place.

    Args:
        assignment: What its worker is told; `address` is given when a process is started.
        env: Environment variables of the process.
        host: Where its workers are begun.

    Attributes:
        child: The process in it, if there is one.
        ready: Whether the worker has said that it listens.
        attached: Whether the gateway is connected to it.
        new: Whether it has never been attached: it failing is a failure to start, not a death.
        wanted: Whether there should be a process; if not, one that ends is not started again.
        replaced: Whether another slot has taken its place for good.
        deaths: Moments at which it died, of the last minute.
        given_up: Why it is not started again, if it is not.
        restart_at: When it is to be started again.
        failure: Why it could not be started.
        pulse_asked_at: When it was asked whether it is there, if it has not answered yet, or 0.
        silent: Whether it has not answered that for too long.
        asked: Number of the question that it has not answered yet, or 0.
        figures: Its last answer.
    """

    def __init__(self, assignment: Assignment, env: dict[str, str], host: Host = _HERE) -> None:
        self.assignment = assignment
        self.env = env
        self.host = host
        self.child: Child | None = None
        self.ready = False
        self.attached = False
        self.new = True
        self.wanted = False
        self.replaced = False
        self.deaths: list[float] = []
        self.given_up = ""
        self.restart_at: float | None = None
        self.failure: BaseException | None = None
        self.pulse_asked_at = 0.0
        self.silent = False
        self.asked = 0
        self.figures: ReplicaMetrics | None = None

    @property
    def name(self) -> str:
        """Name of the Executor."""
        return self.assignment.name

    @property
    def label(self) -> str:
        """The Executor's name, and which of its replicas it is where there are several."""
        return f"{self.name}/{self.assignment.replica}" if self.assignment.replicas > 1 else self.name

    @property
    def serves(self) -> bool:
        """Whether it is there and to stay."""
        return self.ready and self.wanted and self.child is not None

    def begin(self, stem: str) -> Child:
        """Start a process, at an address that begins with `stem`."""
        self.assignment = msgspec.structs.replace(self.assignment, address=stem + self.host.suffix)
        self.restart_at, self.ready, self.attached, self.wanted = None, False, False, True
        self.failure, self.pulse_asked_at, self.silent = None, 0.0, False
        self.child = self.host.begin(self.assignment, self.env)
        return self.child

    def retire(self) -> None:
        """Let the process finish what it has, and end; none takes its place."""
        self.wanted, self.restart_at = False, None
        if self.child is not None:
            self.child.terminate()

    def died(self) -> None:
        """Note that the process ended by itself. It is started again at once, then with growing pauses, then not."""
        now = time.monotonic()
        self.deaths = [at for at in self.deaths if now - at < _DEATHS_WINDOW_S] + [now]
        self.child, self.attached, self.ready = None, False, False
        if len(self.deaths) >= _MAX_DEATHS:
            self.given_up = f"died {_MAX_DEATHS} times in {_DEATHS_WINDOW_S:g} s"
        else:
            self.restart_at = now + (0.0 if len(self.deaths) == 1 else 0.5 * 2 ** (len(self.deaths) - 2))

    def failed_to_start(self, told: Failure) -> BaseException:
        """Return the worker's own exception, or one that tells of it and has it as its cause."""
        if self.child is not None:
            self.child.drain()
        original = rebuild(told)
        if isinstance(original, DureError):
            original.add_note(f"raised while the Executor {self.label} was started, in its worker")
            return original
        text = f"the Executor {self.label} could not be constructed: {told.name}: {told.text}"
        words = "" if self.child is None else f"\n\nThe worker {self.child.last_words}"
        failure = StartFailed(f"{text}\n\n{told.traceback}{words}")
        failure.__cause__ = original
        return failure


def not_ready(children: Mapping[str, Child | None], timeout_s: float) -> StartFailed:
    """Return the error that says who was not ready in time, and what they had written."""
    lines = "".join(f"\n{name} {child.last_words}" for name, child in children.items() if child is not None)
    return StartFailed(f"not ready after {timeout_s:g} s: {', '.join(children)} (timeout_ready_s is the limit){lines}")
