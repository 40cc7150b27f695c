"""Starts a Flow's processes, watches them from one thread, starts workers again, and stops everything.

When and how often a worker is started again, `slot.py` says. Knows processes and what they say on their private pipes,
not requests.
"""

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from dure.backends.child import Child, end_all
from dure.backends.inquiry import Inquiry
from dure.backends.process import ChildProcess
from dure.backends.pulse import Pulse
from dure.backends.slot import Slot, Worker, not_ready
from dure.backends.watcher import Watcher
from dure.errors import BackendError, DureError, ReplicaUnavailable, StartFailed, from_wire
from dure.gateway.assignment import Assignment as GatewayAssignment
from dure.log import LIFECYCLE, get_logger
from dure.transport.address import runtime_folder
from dure.worker.assignment import ALIVE
from dure.worker.metrics import ReplicaMetrics

Workers: TypeAlias = list[Worker]
"""For each replica what its place is made with."""

_GATEWAY_GRACE_S = 15.0
_WORKER_GRACE_S = 10.0
_ANSWER_S = 10.0


class Supervisor:
    """The processes of one Flow.

    Args:
        gateway: What the gateway is told.
        workers: For each replica what it is told, and its environment. `address` is filled in here.
        counts: Executor name -> how many of its replicas to start; the others wait for their time.
        timeout_ready_s: How long all of them may take to become ready.
    """

    def __init__(
        self, gateway: GatewayAssignment, workers: Workers, counts: dict[str, int], timeout_ready_s: float
    ) -> None:
        self._gateway_assignment = gateway
        self._slots = [Slot(*worker) for worker in workers]
        self._counts = counts
        self._timeout_ready_s = timeout_ready_s
        self._gateway: Child | None = None
        self._pulse = Pulse(self._tell_pulse, self._end_stuck)
        self._watcher = Watcher(self._next_moment, self._on_turn, self._on_error)
        self._changed = threading.Condition()
        self._swapping = threading.Lock()
        self._in_swap: set[str] = set()
        self._num_started = 0
        self._inquiry = Inquiry(self._changed)
        self._failure: BaseException | None = None
        self._started = False
        self._stopping = False
        self._folder = ""
        self._process = os.getpid()
        self.ports: dict[str, int] = {}
        self.metrics_port = 0

    def start(self) -> None:
        """Start everything; return when the gateway and every replica are ready.

        Raises:
            StartFailed: One of them did not become ready; `__cause__` is its own exception.
            DureError: What a worker itself says is wrong, e.g. SpecError or DeviceNotFound.
        """
        self._folder = tempfile.mkdtemp(prefix="flow-", dir=runtime_folder())
        try:
            self._gateway = ChildProcess("dure.gateway", self._gateway_assignment, {})
            self._watch(self._gateway, self._on_gateway)
            for slot in self._slots:
                if slot.assignment.replica < self._counts[slot.name]:
                    self._start(slot)
            self._watcher.start()
            with self._changed:
                ready = self._changed.wait_for(self._is_settled, self._timeout_ready_s)
            if self._failure is not None:
                raise self._failure
            self._started = ready
            if not ready:
                slow = {slot.label: slot.child for slot in self._slots if slot.wanted and not slot.attached}
                raise not_ready(slow | ({} if self.ports else {"gateway": self._gateway}), self._timeout_ready_s)
        except BaseException:
            self.stop(at_once=True)
            raise

    def stop(self, *, at_once: bool = False) -> None:
        """End every process: the gateway finishes what is on its way, then the workers close. Idempotent.

        Args:
            at_once: Finish nothing.
        """
        if os.getpid() != self._process:
            return  # a fork of the process that started all this, which goes on using it
        with self._changed:
            self._stopping = True
        if not self._watcher.is_open:
            return
        try:
            if not at_once:
                end_all([self._gateway] if self._gateway else [], _GATEWAY_GRACE_S)
                end_all([s.child for s in self._slots if s.child is not None], _WORKER_GRACE_S)
        finally:
            for child in self._children():
                child.kill()
            self._watcher.end(_WORKER_GRACE_S)
            for child in self._children():  # again: the thread may have started one meanwhile
                child.kill()
                child.wait(_WORKER_GRACE_S)
                child.drain()
                child.close()
            self._watcher.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def pids(self) -> dict[str, int]:
        """Return the process ids now: `gateway`, and `name` or `name/replica` of each worker."""
        found = {"gateway": self._gateway.pid} if self._gateway else {}
        return found | {s.label: s.child.pid for s in list(self._slots) if s.child is not None}

    def metrics(self) -> dict[str, ReplicaMetrics]:
        """Ask every replica that is ready what it has done, by the names of `pids`; one that is restarted is left out.

        Raises:
            BackendError: A replica does not answer.
        """
        return self._inquiry.ask(list(self._slots))

    # -- while it runs --------------------------------------------------------------------------------------------

    def swap(self, name: str, workers: Workers, timeout_ready_s: float) -> None:
        """Put new workers in the place of an Executor's: when all of them are ready, the old ones finish and end.

        No request is lost: what an old worker has begun it answers, what it has not goes to a new one. If a new one
        fails to start, the old ones stay and nothing has changed.

        Raises:
            StartFailed: A new worker did not become ready; `__cause__` is its own exception.
            DureError: What a worker says is wrong with its settings.
        """
        with self._swapping:
            old = [slot for slot in list(self._slots) if slot.name == name and not slot.replaced]
            count = max(1, sum(slot.wanted for slot in old))
            fresh = [Slot(*worker) for worker in workers]
            started = fresh[:count]
            self._watcher.do(lambda: self._begin(fresh, started), _ANSWER_S)
            try:
                self._wait_until_attached(started, timeout_ready_s)
            except BaseException:
                self._watcher.do(lambda: self._remove(fresh), _ANSWER_S)
                raise
            self._watcher.do(lambda: self._remove(old), _ANSWER_S)
            with self._changed:  # until the gateway sends nothing to the old ones any more
                self._changed.wait_for(lambda: not any(slot.attached for slot in old), _ANSWER_S)

    def _wait_until_attached(self, slots: list[Slot], timeout_s: float) -> None:
        with self._changed:
            settled = self._changed.wait_for(
                lambda: any(slot.failure for slot in slots) or all(slot.attached for slot in slots), timeout_s
            )
        for slot in slots:
            if slot.failure is not None:
                raise slot.failure
        if not settled:
            raise not_ready({slot.label: slot.child for slot in slots if not slot.attached}, timeout_s)

    def _children(self) -> list[Child]:
        children = [self._gateway, *(slot.child for slot in self._slots)]
        return [child for child in children if child is not None]

    def _is_settled(self) -> bool:
        return self._failure is not None or (
            bool(self.ports) and all(slot.attached or not slot.wanted for slot in self._slots)
        )

    # -- the watching thread --------------------------------------------------------------------------------------

    def _watch(self, child: Child, on_message: Callable[[Any], None]) -> None:
        self._watcher.watch(child.control.socket, lambda: on_message(child.control.receive()))
        for stream in child.outputs:
            self._watcher.watch(stream, partial(self._relay, child, stream))

    def _relay(self, child: Child, stream: Any) -> None:
        if not child.relay(stream):
            self._watcher.forget(stream)

    def _start(self, slot: Slot) -> None:
        self._num_started += 1
        child = slot.begin(f"{self._folder}/{self._num_started}")
        self._watch(child, lambda message: self._on_worker(slot, message))

    def _begin(self, fresh: list[Slot], started: list[Slot]) -> None:
        self._slots += fresh
        self._in_swap.update(slot.name for slot in fresh)
        for slot in started:
            self._start(slot)

    def _remove(self, slots: list[Slot]) -> None:
        for slot in slots:
            self._in_swap.discard(slot.name)
            slot.replaced = True
            slot.retire()
            if slot.child is None:
                self._slots.remove(slot)

    def _forget(self, slot: Slot) -> None:
        """Let go of a process that ended because it was to."""
        if slot.child is not None:
            slot.child.close()
        slot.child, slot.attached, slot.ready = None, False, False
        if slot.replaced:
            self._slots.remove(slot)

    def _scale(self, name: str, count: int) -> None:
        """Have `count` replicas of an Executor, as far as there are places for them; not in the middle of a swap."""
        if name in self._in_swap:
            return
        slots = [slot for slot in self._slots if slot.name == name]
        running = [slot for slot in slots if slot.wanted]
        free = [slot for slot in slots if not slot.wanted and slot.child is None]
        for slot in free[: max(0, count - len(running))]:
            get_logger("flow").log(LIFECYCLE, "%s is started: %d replicas are wanted", slot.label, count)
            self._start(slot)
        for slot in running[max(count, 1) :]:
            get_logger("flow").log(LIFECYCLE, "%s finishes and ends: %d replicas are wanted", slot.label, count)
            slot.retire()

    def _end_hung(self, address: str, after_s: float) -> None:
        for slot in self._at(address):
            if slot.child is not None:
                text = "the worker of %s has not answered a call for %g s (max_call_s) and is ended"
                get_logger("flow").error(text, slot.label, after_s)
                slot.child.kill()

    def _end_stuck(self, slot: Slot) -> None:
        get_logger("flow").error("the worker of %s neither answers nor works, and is ended", slot.label)
        if slot.child is not None:
            slot.child.kill()

    def _fail_at(self, address: str, error: DureError) -> None:
        for slot in self._at(address):
            self._fail_slot(slot, error)

    def _fail_slot(self, slot: Slot, failure: BaseException) -> None:
        """Note that a worker could not be started; what that means is up to who waits for it."""
        slot.failure = failure
        slot.wanted = slot.wanted and not self._started
        if self._started:
            self._tell()
        else:
            self._fail(failure)

    def _next_moment(self) -> float | None:
        moments = [slot.restart_at for slot in self._slots] + [self._pulse.next_moment(self._slots)]
        return None if self._stopping else min([moment for moment in moments if moment is not None], default=None)

    def _on_turn(self) -> None:
        self._pulse.look(self._slots)
        for slot in list(self._slots):
            if slot.restart_at is not None and slot.restart_at <= time.monotonic() and not self._stopping:
                self._start(slot)

    def _on_error(self, error: Exception) -> None:
        get_logger("flow").error("the Flow's processes are watched no more", exc_info=error)
        self._fail(BackendError(f"watching the processes failed: {type(error).__name__}: {error}"))

    def _on_gateway(self, message: Any) -> None:
        gateway = self._gateway
        if gateway is None:
            return
        if message is None:
            self._on_gateway_end(gateway)
        elif "ready" in message:
            self.ports, self.metrics_port = message["ready"], message["metrics_port"]
            for slot in self._slots:
                if slot.ready:
                    self._attach(slot)
            self._tell()
        elif "failed" in message:
            self._fail(message["failed"])
        elif "hung" in message:
            self._end_hung(message["hung"], message["after_s"])
        elif "replicas" in message:
            self._scale(message["executor"], message["replicas"])
        elif message.get("error") is not None:
            self._fail_at(message["attached"], from_wire(message["error"]))
        else:
            self._on_attached(message.get("attached") or message["left"], attached="attached" in message)

    def _on_attached(self, address: str, *, attached: bool) -> None:
        for slot in self._at(address):
            slot.attached, slot.new = attached, slot.new and not attached
        self._tell()

    def _at(self, address: str) -> list[Slot]:
        return [slot for slot in self._slots if slot.assignment.address == address]

    def _on_gateway_end(self, gateway: Child) -> None:
        self._gone(gateway)
        if self._stopping:
            return
        self._fail(StartFailed(f"the gateway {gateway.describe_end()}, and {gateway.last_words}"))
        if self._started:
            get_logger("flow").error("the gateway %s; this Flow answers no more", gateway.describe_end())

    def _on_worker(self, slot: Slot, message: Any) -> None:
        if message is None:
            self._on_worker_end(slot)
        elif message == ALIVE:
            self._pulse.heard(slot)
        elif "ready" in message:
            slot.ready = True
            if self.ports:
                self._attach(slot)
        elif "metrics" in message:
            self._inquiry.answered(slot, message)
        else:
            self._on_worker_failure(slot, message)

    def _attach(self, slot: Slot) -> None:
        assignment = slot.assignment
        self._to_gateway({"executor": slot.name, "replica": assignment.replica, "address": assignment.address})

    def _tell_pulse(self, slot: Slot) -> None:
        text = (
            "the worker of %s does not answer; it gets nothing more"
            if slot.silent
            else "the worker of %s answers again"
        )
        get_logger("flow").warning(text, slot.label)
        self._to_gateway({"executor": slot.name, "address": slot.assignment.address, "silent": slot.silent})
        if self.ports and slot.serves and not slot.silent and not slot.attached:
            self._attach(slot)  # while it was out of reach, the gateway's connection to it came to an end

    def _to_gateway(self, message: dict[str, Any]) -> None:
        if self._gateway is not None:
            with contextlib.suppress(OSError):
                self._gateway.control.send(message)

    def _on_worker_failure(self, slot: Slot, message: dict[str, Any]) -> None:
        failure = slot.failed_to_start(message["failed"])
        if self._started:
            get_logger("flow").error("%s", failure)
        self._fail_slot(slot, failure)

    def _on_worker_end(self, slot: Slot) -> None:
        child = slot.child
        if child is None:
            return
        self._gone(child)
        slot.asked = 0
        self._tell()
        if self._stopping:
            return
        end = child.describe_end()
        if not slot.wanted:
            self._forget(slot)
            return
        if slot.new:
            failure = StartFailed(f"the worker of {slot.label} {end} before it was ready, and {child.last_words}")
            self._forget(slot)
            self._fail_slot(slot, failure)
            return
        slot.died()
        child.close()
        if slot.given_up:
            text = f"the worker of {slot.label} {slot.given_up} (last: it {end}) and is given up"
            get_logger("flow").error("%s; it %s", text, child.last_words)
            if not any(s.child for s in self._slots if s.name == slot.name):
                self._to_gateway({"executor": slot.name, "failed": ReplicaUnavailable(text)})
        else:
            get_logger("flow").log(LIFECYCLE, "the worker of %s %s; starting it again", slot.label, end)

    def _gone(self, child: Child) -> None:
        self._watcher.forget(child.control.socket)
        child.wait(_WORKER_GRACE_S)
        child.drain()
        for stream in child.outputs:
            self._watcher.forget(stream)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._failure is None:
                self._failure = error
            self._changed.notify_all()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
