"""Starts a Flow's processes, watches them from one thread, starts workers again, and stops everything.

A worker that dies is started again at once, then with growing pauses, and given up after `_MAX_DEATHS` deaths in
`_DEATHS_WINDOW_S`. Knows processes and what they say on their private pipes, not requests.
"""

import contextlib
import os
import selectors
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from dure.backends.process import ChildProcess
from dure.errors import BackendError, DureError, ReplicaUnavailable, StartFailed, from_wire
from dure.gateway.assignment import Assignment as GatewayAssignment
from dure.log import LIFECYCLE, get_logger
from dure.transport.address import runtime_folder
from dure.transport.failure import Failure, rebuild
from dure.worker.assignment import Assignment as WorkerAssignment
from dure.worker.metrics import ReplicaMetrics

_MAX_DEATHS = 5
_DEATHS_WINDOW_S = 60.0
_GATEWAY_GRACE_S = 15.0
_WORKER_GRACE_S = 10.0
_ANSWER_S = 10.0


class _Slot:
    """The place of one replica: its assignment, the process in it now, and its deaths."""

    def __init__(self, assignment: WorkerAssignment, env: dict[str, str]) -> None:
        self.assignment = assignment
        self.env = env
        self.child: ChildProcess | None = None
        self.ready = False
        self.attached = False
        self.deaths: list[float] = []
        self.restart_at: float | None = None
        self.asked = 0  # the number of the question that it has not answered yet
        self.figures: ReplicaMetrics | None = None

    @property
    def label(self) -> str:
        return (
            f"{self.assignment.name}/{self.assignment.replica}"
            if self.assignment.replicas > 1
            else self.assignment.name
        )


class Supervisor:
    """The processes of one Flow.

    Args:
        gateway: What the gateway is told.
        workers: For each replica what it is told, and its environment. `address` is filled in here.
        timeout_ready_s: How long all of them may take to become ready.
    """

    def __init__(
        self, gateway: GatewayAssignment, workers: list[tuple[WorkerAssignment, dict[str, str]]], timeout_ready_s: float
    ) -> None:
        self._gateway_assignment = gateway
        self._slots = [_Slot(assignment, env) for assignment, env in workers]
        self._timeout_ready_s = timeout_ready_s
        self._gateway: ChildProcess | None = None
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        self._changed = threading.Condition()
        self._asking = threading.Lock()
        self._questions = 0
        self._failure: BaseException | None = None
        self._started = False
        self._stopping = False
        self._finished = False
        self._thread: threading.Thread | None = None
        self._folder = ""
        self._process = os.getpid()
        self.port = 0
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
            for i, slot in enumerate(self._slots):
                self._start(slot, f"{self._folder}/{i}.sock")
            self._selector.register(self._wake_read, selectors.EVENT_READ, None)
            self._thread = threading.Thread(target=self._run, name="dure-supervisor", daemon=True)
            self._thread.start()
            with self._changed:
                ready = self._changed.wait_for(self._is_settled, self._timeout_ready_s)
            if self._failure is not None:
                raise self._failure
            self._started = ready
            if not ready:
                raise self._late()
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
        if self._wake_read < 0:
            return
        try:
            if not at_once:
                self._end([self._gateway] if self._gateway else [], _GATEWAY_GRACE_S)
                self._end([s.child for s in self._slots if s.child is not None], _WORKER_GRACE_S)
        finally:
            for child in self._children():
                child.kill()
            self._finished = True
            os.write(self._wake_write, b"x")
            if self._thread is not None:
                self._thread.join(_WORKER_GRACE_S)
            for child in self._children():  # again: the thread may have started one meanwhile
                child.kill()
                child.wait(_WORKER_GRACE_S)
                child.drain()
                child.close()
            self._close_selector()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _late(self) -> StartFailed:
        slow = {s.label: s.child for s in self._slots if not s.attached} | (
            {} if self.port else {"gateway": self._gateway}
        )
        lines = "".join(f"\n{name} {_last_lines(child)}" for name, child in slow.items() if child is not None)
        return StartFailed(
            f"not ready after {self._timeout_ready_s:g} s: {', '.join(slow)} (timeout_ready_s is the limit){lines}"
        )

    def _close_selector(self) -> None:
        if self._wake_read >= 0:
            self._selector.close()
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_read = self._wake_write = -1

    def pids(self) -> dict[str, int]:
        """Return the process ids now: `gateway`, and `name` or `name/replica` of each worker."""
        found = {"gateway": self._gateway.pid} if self._gateway else {}
        return found | {s.label: s.child.pid for s in self._slots if s.child is not None}

    def metrics(self) -> dict[str, ReplicaMetrics]:
        """Ask every replica that is ready what it has done, by the names of `pids`; one that is restarted is left out.

        Raises:
            BackendError: A replica does not answer.
        """
        with self._asking:
            self._questions += 1
            asked = [slot for slot in self._slots if slot.attached and slot.child is not None]
            for slot in asked:
                slot.asked, slot.figures = self._questions, None
                if slot.child is not None:
                    with contextlib.suppress(OSError):  # it has died, which the watching thread finds out
                        slot.child.control.send(self._questions)
            with self._changed:
                told = self._changed.wait_for(lambda: not any(slot.asked for slot in asked), _ANSWER_S)
            silent = ", ".join(slot.label for slot in asked if slot.asked)
            if not told and silent:
                raise BackendError(
                    f"{silent}: no figures within {_ANSWER_S:g} s; one call of C keeps Python from running"
                )
            return {slot.label: slot.figures for slot in asked if slot.figures is not None}

    def _children(self) -> list[ChildProcess]:
        children = [self._gateway, *(slot.child for slot in self._slots)]
        return [child for child in children if child is not None]

    def _end(self, children: list[ChildProcess], grace_s: float) -> None:
        for child in children:
            child.terminate()
        deadline = time.monotonic() + grace_s
        for child in children:
            if not child.wait(max(0.0, deadline - time.monotonic())):
                get_logger("flow").warning("process %d did not end within %g s and is killed", child.pid, grace_s)
                child.kill()

    def _is_settled(self) -> bool:
        return self._failure is not None or (self.port != 0 and all(slot.attached for slot in self._slots))

    # -- the watching thread --------------------------------------------------------------------------------------

    def _watch(self, child: ChildProcess, on_message: Callable[[Any], None]) -> None:
        self._selector.register(child.control.socket, selectors.EVENT_READ, lambda: on_message(child.control.receive()))
        for stream in child.outputs:
            self._selector.register(stream, selectors.EVENT_READ, lambda s=stream: self._relay(child, s))

    def _relay(self, child: ChildProcess, stream: Any) -> None:
        if not child.relay(stream):
            self._selector.unregister(stream)

    def _start(self, slot: _Slot, address: str) -> None:
        slot.assignment = msgspec.structs.replace(slot.assignment, address=address)
        slot.restart_at, slot.ready, slot.attached = None, False, False
        slot.child = ChildProcess("dure.worker", slot.assignment, slot.env)
        self._watch(slot.child, lambda message: self._on_worker(slot, message))

    def _run(self) -> None:
        try:
            while not self._finished:
                self._watch_once()
        except Exception as error:  # noqa: BLE001 - whoever waits for a start must hear of it
            get_logger("flow").exception("the Flow's processes are watched no more")
            self._fail(BackendError(f"watching the processes failed: {type(error).__name__}: {error}"))

    def _watch_once(self) -> None:
        pauses = [slot.restart_at for slot in self._slots if slot.restart_at is not None]
        timeout = max(0.0, min(pauses) - time.monotonic()) if pauses and not self._stopping else None
        for key, _ in self._selector.select(timeout):
            # An event before it, of the same round, may have let go of this one.
            if key.data is not None and self._selector.get_map().get(key.fd) is key:
                key.data()
        for slot in self._slots:
            if slot.restart_at is not None and slot.restart_at <= time.monotonic() and not self._stopping:
                self._start(slot, slot.assignment.address)

    def _on_gateway(self, message: Any) -> None:
        gateway = self._gateway
        if gateway is None:
            return
        if message is None:
            self._on_gateway_end(gateway)
        elif "ready" in message:
            self.port, self.metrics_port = message["ready"], message["metrics_port"]
            for slot in self._slots:
                if slot.ready:
                    self._attach(slot)
            self._tell()
        elif "failed" in message:
            self._fail(message["failed"])
        elif message["error"] is not None:
            self._fail(from_wire(message["error"]))
        else:
            name, replica = message["attached"]
            for slot in self._slots:
                slot.attached |= (slot.assignment.name, slot.assignment.replica) == (name, replica)
            self._tell()

    def _on_gateway_end(self, gateway: ChildProcess) -> None:
        self._gone(gateway)
        if self._stopping:
            return
        self._fail(StartFailed(f"the gateway {gateway.describe_end()}, and {_last_lines(gateway)}"))
        if self._started:
            get_logger("flow").error("the gateway %s; this Flow answers no more", gateway.describe_end())

    def _on_worker(self, slot: _Slot, message: Any) -> None:
        if message is None:
            self._on_worker_end(slot)
        elif "ready" in message:
            slot.ready = True
            if self.port:
                self._attach(slot)
        elif "metrics" in message:
            if message["metrics"] == slot.asked:
                slot.asked, slot.figures = 0, message["figures"]
                self._tell()
        else:
            self._on_worker_failure(slot, message)

    def _attach(self, slot: _Slot) -> None:
        assignment = slot.assignment
        self._to_gateway({"executor": assignment.name, "replica": assignment.replica, "address": assignment.address})

    def _to_gateway(self, message: dict[str, Any]) -> None:
        if self._gateway is not None:
            with contextlib.suppress(OSError):
                self._gateway.control.send(message)

    def _on_worker_failure(self, slot: _Slot, message: dict[str, Any]) -> None:
        child = slot.child
        if child is None:
            return
        child.drain()
        told: Failure = message["failed"]
        original = rebuild(told)
        if isinstance(original, DureError):
            original.add_note(f"raised while the Executor {slot.label} was started, in its worker")
            failure: BaseException = original
        else:
            text = f"the Executor {slot.label} could not be constructed: {told.name}: {told.text}"
            failure = StartFailed(f"{text}\n\n{told.traceback}\n\nThe worker {_last_lines(child)}")
            failure.__cause__ = original
        if self._started:
            get_logger("flow").error("%s", failure)
        self._fail(failure)

    def _on_worker_end(self, slot: _Slot) -> None:
        child = slot.child
        if child is None:
            return
        self._gone(child)
        slot.asked = 0
        self._tell()
        if self._stopping:
            return
        end = child.describe_end()
        if not slot.attached and not slot.deaths:
            self._fail(StartFailed(f"the worker of {slot.label} {end} before it was ready, and {_last_lines(child)}"))
            return
        now = time.monotonic()
        slot.deaths = [at for at in slot.deaths if now - at < _DEATHS_WINDOW_S] + [now]
        slot.attached = slot.ready = False
        slot.child = None
        child.close()
        if len(slot.deaths) >= _MAX_DEATHS:
            text = (
                f"the worker of {slot.label} died {_MAX_DEATHS} times in {_DEATHS_WINDOW_S:g} s"
                f" (last: it {end}) and is given up"
            )
            get_logger("flow").error("%s; it %s", text, _last_lines(child))
            if not any(s.child for s in self._slots if s.assignment.name == slot.assignment.name):
                self._to_gateway({"executor": slot.assignment.name, "failed": ReplicaUnavailable(text)})
            return
        pause = 0.0 if len(slot.deaths) == 1 else 0.5 * 2 ** (len(slot.deaths) - 2)
        get_logger("flow").log(LIFECYCLE, "the worker of %s %s; starting it again", slot.label, end)
        slot.restart_at = now + pause

    def _gone(self, child: ChildProcess) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(child.control.socket)
        child.wait(_WORKER_GRACE_S)
        child.drain()
        for stream in child.outputs:
            with contextlib.suppress(KeyError):
                self._selector.unregister(stream)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._failure is None:
                self._failure = error
            self._changed.notify_all()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _last_lines(child: ChildProcess) -> str:
    lines = "\n".join(f"  {line}" for line in child.tail)
    return f"had written:\n{lines}" if lines else "had written nothing"
