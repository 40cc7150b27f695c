"""One worker in a container, started and watched as a process of this machine is.

A thread makes and starts it, and passes messages on between the private pipe (where the watching thread is) and the
worker's control connection. The container is removed when it ends; when this process ends, however it does, the worker
loses its lifeline, and the container ends and is removed by the engine.
"""

import contextlib
import importlib.metadata
import secrets
import select
import signal
import threading
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from dure.backends.distant import DistantChild
from dure.backends.engine import Engine
from dure.backends.image import ContainerSettings
from dure.backends.process import DEFAULTS
from dure.errors import BackendError, DecodeError, SpecError
from dure.log import get_logger
from dure.transport.door import SUFFIX, TOKEN_BYTES, TOKEN_VARIABLE, Door, Purpose
from dure.transport.messages import VERSION, check_version
from dure.worker.assignment import Assignment
from dure.worker.plain_control import Hello, PlainControl, Task, flow_end

_RETRY_S = 0.03
_CONNECT_S = 5.0
_EXIT_S = 5.0


class Container(DistantChild):
    """A worker in a container, that is being started.

    Args:
        settings: What it is made of.
        task: What the worker is told.
        env: Its environment variables.
        address: The file that is to tell the gateway how the worker is reached.
    """

    def __init__(self, settings: ContainerSettings, task: Task, env: dict[str, str], address: str) -> None:
        super().__init__(f"dure-container-{task.name}", address)
        self._settings, self._task, self._env = settings, task, env
        self._engine: Engine | None = None
        self._container: Any = None
        self._reader: threading.Thread | None = None
        self._known = False
        self._pid = 0
        self._exit = threading.Event()
        self._code: int | None = None
        self._thread.start()

    @property
    def pid(self) -> int:
        """Process id of the container's first process; 0 while there is none, or where it is not this machine's."""
        return self._pid

    def describe_end(self) -> str:
        """Tell how it ended: exit code or signal, and whether it is an image of dure at all."""
        image = self._settings.image
        if not self._gone.is_set():
            return f"in a container of {image} is still running"
        if self._known or self._code is None:
            return f"in a container of {image} {_told(self._code)}"
        return (
            f"in a container of {image} {_told(self._code)} without a word (is it an image of dure? `dure hub new"
            " --dockerfile` makes one)"
        )

    def terminate(self) -> None:
        """Ask it to finish and end."""
        self._send("SIGTERM")

    def kill(self) -> None:
        """End it at once."""
        self._send("SIGKILL")

    def _send(self, name: str) -> None:
        self._ending = True
        if self._engine is not None and self._container is not None and not self._exit.is_set():
            self._engine.signal(self._container, name)

    # -- the container's own thread -------------------------------------------------------------------------------

    def _live(self) -> None:
        try:
            self._serve()
        except OSError as error:
            raise BackendError(f"{self._settings.path}: the container was lost: {error}") from error

    def _serve(self) -> None:
        token = secrets.token_bytes(TOKEN_BYTES)
        env = {**DEFAULTS, "PYTHONUNBUFFERED": "1", **self._env, TOKEN_VARIABLE: token.hex()}
        self._engine = Engine()
        self._container = self._engine.create(self._settings, self._task.name, env)
        if self._ending:
            return
        self._reader = threading.Thread(target=self._read, args=(self._engine.outputs(self._container),), daemon=True)
        self._reader.start()
        threading.Thread(target=self._await_exit, args=(self._engine,), daemon=True).start()
        place = self._engine.start(self._container, self._settings)
        self._pid = self._engine.process_of(self._container)
        door = None if place is None else Door(*place, token)
        control = None if door is None else self._open(door)
        if control is not None and door is not None:
            with contextlib.closing(control):
                self._greet(control)
                door.write(self._path)
                control.send(self._task)
                self._pass_on(control)
        if control is not None or not self._ending:
            self._exit.wait(_EXIT_S)

    def _read(self, pieces: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        for piece in pieces:
            for number, data in enumerate(piece):
                self._write(number, data or b"")

    def _await_exit(self, engine: Engine) -> None:
        self._code = engine.exit_code(self._container)
        self._exit.set()

    def _open(self, door: Door) -> PlainControl | None:
        """Connect as soon as the worker listens; None if it ends before that."""
        while not self._exit.is_set() and not self._ending:
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                wanted = (Purpose.CONTROL, Purpose.LIFELINE)
                control = flow_end(*[stack.enter_context(door.connect(purpose, _CONNECT_S)) for purpose in wanted])
                stack.pop_all()
                return control
            time.sleep(_RETRY_S)
        return None

    def _greet(self, control: PlainControl) -> None:
        hello = control.receive()
        if not isinstance(hello, Hello):
            raise DecodeError(f"{self._settings.image}: its worker did not say who it is")
        self._known = True
        ours = importlib.metadata.version("dure")
        try:
            check_version(hello.wire, f"dure {hello.dure} in the image {self._settings.image}")
        except DecodeError as error:
            raise SpecError(f"{self._settings.path}.uses: {error} (here is dure {ours})") from error
        if hello.dure != ours:
            text = "the image %s holds dure %s, here is %s; they speak the same version of the wire (%d)"
            get_logger("flow").info(text, self._settings.image, hello.dure, ours, VERSION)

    def _pass_on(self, control: PlainControl) -> None:
        events = select.poll()
        for end in (control, self._theirs):
            events.register(end.socket, select.POLLIN)
        while True:
            ready = {number for number, _ in events.poll()}
            for source, target in ((control, self._theirs), (self._theirs, control)):
                if source.socket.fileno() in ready:
                    message = source.receive()
                    if message is None:
                        return
                    target.send(message)

    def _remove(self) -> None:
        if self._engine is not None and self._container is not None:
            self._engine.remove(self._container)
        if self._reader is not None:
            self._reader.join(_EXIT_S)
        if self._engine is not None:
            self._engine.close()


class ContainerHost(NamedTuple):
    """Begins workers in containers: what they are made of, and what a worker is told there."""

    settings: ContainerSettings
    task: Task

    @property
    def suffix(self) -> str:
        """How the address of such a worker ends."""
        return SUFFIX

    def begin(self, assignment: Assignment, env: dict[str, str]) -> Container:
        """Make and start one."""
        return Container(self.settings, self.task, env, assignment.address)


def _told(code: int | None) -> str:
    if code is None:
        return "has ended"
    if code <= 128:
        return f"exited with code {code}"
    try:
        name = signal.Signals(code - 128).name
    except ValueError:
        return f"exited with code {code}"
    hint = " (out of memory?)" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"
