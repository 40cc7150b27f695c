"""One worker in an actor of a Ray cluster, started and watched as a process of this machine is.

Ray says on which node; there the actor begins the worker (`ray_node.py`), which listens on TCP. What it says of itself
goes through Ray; batches never do: the gateway connects to the worker itself. The actor is not detached, so that it
ends with this process, however that ends.
"""

import contextlib
import importlib.metadata
import re
import secrets
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import msgspec

from dure.backends.distant import DistantChild
from dure.backends.ray_cluster import Cluster
from dure.backends.ray_node import Event, Heard
from dure.errors import BackendError, SpecError, StartFailed
from dure.transport.door import SUFFIX, TCP, TOKEN_BYTES, TOKEN_VARIABLE, Door
from dure.transport.failure import Failure, rebuild, take_apart
from dure.worker.assignment import Assignment

_CALLS_AT_ONCE = 4
_LOOK_S = 0.25
_HEAR_S = 1.0
_LOST_S = 10.0  # Ray itself takes up to half a minute to see that a node is out of reach
_WAITING_S = 5.0
_NOT_FOUND = re.compile(r"there is no (file|module)|no class")


class RayHost(NamedTuple):
    """Begins workers in actors of a cluster.

    `asks` are words for people, `options` is what Ray is told of each actor, `folder` is what it brings to the nodes.
    """

    cluster: Cluster
    asks: str
    options: dict[str, Any]
    folder: str | None = None

    @property
    def suffix(self) -> str:
        """How the address of such a worker ends."""
        return SUFFIX

    def begin(self, assignment: Assignment, env: dict[str, str]) -> "RayActor":
        """Ask Ray for an actor, and begin a worker in it as soon as it is there."""
        hosted = [
            msgspec.structs.replace(one, py_modules=[below(self.folder, path) for path in one.py_modules])
            for one in assignment.hosted
        ]
        return RayActor(self, msgspec.structs.replace(assignment, hosted=hosted), env)


def below(folder: str | None, uses: Any) -> Any:
    """Return the name of a file or folder as it is found from `folder`, if it is in there; else what was given."""
    if folder is None or not isinstance(uses, str | Path) or "://" in str(uses) or "\n" in str(uses):
        return uses
    path, root = Path(uses).resolve(), Path(folder).resolve()
    is_there = Path(str(path).partition(".py:")[0] + ".py" if ".py:" in path.name else path).exists()
    return str(path.relative_to(root)) if is_there and path.is_relative_to(root) else uses


def actor_class(ray: Any) -> Any:
    """Return the class of the actors. It travels by value: a node without dure can say so."""

    class DureWorker:
        def about(self) -> dict[str, Any]:
            import importlib
            import sys

            import ray

            address: Any = ray.util.get_node_ip_address
            found: dict[str, Any] = {"node": address(), "python": sys.executable}
            try:
                self._end = importlib.import_module("dure.backends.ray_node").NodeEnd()
                found["dure"] = importlib.import_module("importlib.metadata").version("dure")
            except ImportError as error:
                found["missing"] = str(error)
            return found

        def begin(self, order: bytes) -> int:
            return int(self._end.begin(order))

        def say(self, message: bytes) -> None:
            self._end.say(message)

        def hear(self, wait_s: float) -> Any:
            return self._end.hear(wait_s)

        def terminate(self) -> None:
            self._end.terminate()

    return ray.remote(max_concurrency=_CALLS_AT_ONCE, max_restarts=0)(DureWorker)


class RayActor(DistantChild):
    """A worker in an actor, that is being started.

    Args:
        host: The cluster, and what Ray is told.
        assignment: What the worker is told.
        env: Its environment variables.
    """

    def __init__(self, host: RayHost, assignment: Assignment, env: dict[str, str]) -> None:
        super().__init__(f"dure-ray-{assignment.name}", assignment.address)
        self._host, self._assignment, self._env = host, assignment, env
        self._ray = host.cluster.ray
        self._actor: Any = None
        self._node = ""
        self._pid = 0
        self._heard: float | None = None
        self._end_told = ""
        self._begun = False
        self._thread.start()

    @property
    def pid(self) -> int:
        """Process id of the worker, as its node counts; 0 while there is none."""
        return self._pid

    def processor_time_s(self) -> float | None:
        """Return how much processor time it has had, as its node told last."""
        return self._heard

    def describe_end(self) -> str:
        """Tell where it ran and how it ended."""
        where = f"on the Ray node {self._node}" if self._node else "of the Ray cluster"
        return f"{where} {self._end_told or ('has ended' if self._gone.is_set() else 'is still running')}"

    def terminate(self) -> None:
        """Ask it to finish and end."""
        self._ending = True
        if self._begun:
            with contextlib.suppress(Exception):  # the actor is gone, which its thread finds out
                self._actor.terminate.remote()

    def kill(self) -> None:
        """End it at once."""
        self._ending = True
        self._kill()

    def _kill(self) -> None:
        if self._actor is not None and not self._gone.is_set():
            with contextlib.suppress(Exception):  # Ray has let go of it already
                self._ray.kill(self._actor)

    # -- the actor's own thread -----------------------------------------------------------------------------------

    def _live(self) -> None:
        errors = self._ray.exceptions
        try:
            self._serve()
        except errors.GetTimeoutError:
            self._end_told = f"was not heard of for {_LOST_S:g} s"
        except errors.RayActorError as error:
            self._end_told = f"was lost: {_cause(error)}"
        except errors.RayError as error:
            if not self._ending:
                raise BackendError(f"{self._assignment.name}: Ray could not start its actor: {error}") from error

    def _serve(self) -> None:
        actor = self._actor = actor_class(self._ray).options(**self._host.options).remote()
        about = self._when_placed(actor.about.remote())
        if about is None:
            return
        self._node = about["node"]
        self._check(about)
        token = secrets.token_bytes(TOKEN_BYTES)
        assignment = msgspec.structs.replace(self._assignment, address=f"{TCP}{self._node}:0")
        order = cloudpickle.dumps((assignment, {**self._env, TOKEN_VARIABLE: token.hex()}))
        self._pid = self._ray.get(actor.begin.remote(order), timeout=_LOST_S)
        self._begun = True
        if self._ending:
            self.terminate()
        threading.Thread(target=self._pass_on, args=(actor,), daemon=True).start()
        while not self._end_told:
            heard: Heard = self._ray.get(actor.hear.remote(_HEAR_S), timeout=_LOST_S)
            self._heard = heard.processor_time_s
            for event in heard.events:
                self._take(event, token)

    def _when_placed(self, answer: Any) -> dict[str, Any] | None:
        """Wait until Ray has found a place; None if it is to end before that."""
        told_at = time.monotonic() + _WAITING_S
        while not self._ending:
            ready, _ = self._ray.wait([answer], timeout=_LOOK_S)
            if ready:
                about: dict[str, Any] = self._ray.get(answer)
                return about
            if time.monotonic() > told_at:
                told_at = float("inf")
                self._write(1, f"{self._assignment.name} waits for a place: {self._host.asks}\n".encode())
        return None

    def _check(self, about: dict[str, Any]) -> None:
        ours = importlib.metadata.version("dure")
        where = f"on the Ray node {self._node}"
        advice = f"install dure {ours} there, or say runtime_env={{'pip': ['dure=={ours}']}}"
        if "missing" in about:
            raise StartFailed(f"dure cannot be imported {where} ({about['python']}): {about['missing']}; {advice}")
        if about["dure"] != ours:
            raise StartFailed(f"dure {about['dure']} is installed {where}, here is dure {ours}; {advice}")

    def _take(self, event: Event, token: bytes) -> None:
        if event.kind == "wrote":
            self._write(event.stream, event.value)
        elif event.kind == "ended":
            self._end_told = event.value
        elif isinstance(event.value, dict) and "ready" in event.value:
            host, _, port = event.value["ready"].removeprefix(TCP).rpartition(":")
            Door(host, int(port), token).write(self._path)
            self._tell({"ready": str(self._path)})
        elif isinstance(event.value, dict) and "failed" in event.value:
            self._tell({"failed": self._explained(event.value["failed"])})
        else:
            self._tell(event.value)

    def _explained(self, told: Failure) -> Failure:
        """Say of code that is not found where it was looked for, and how it gets there."""
        error = rebuild(told)
        advice = (
            "Have Ray bring it there, start(backend='ray', runtime_env={'working_dir': '.'}) or --working-dir ., or"
            " install it on every node"
        )
        if isinstance(error, ModuleNotFoundError):
            text = f"the module {error.name!r} cannot be imported on the Ray node {self._node}, by Executor"
            found: BaseException = StartFailed(f"{text} {self._assignment.name!r}. {advice}")
            found.__cause__ = error
            return take_apart(found)
        if isinstance(error, SpecError) and str(error).startswith("uses:") and _NOT_FOUND.search(str(error)):
            where = f"on the Ray node {self._node}; is it a file of this machine alone?"
            return take_apart(SpecError(f"{error} ({where} {advice})"))
        return told

    def _pass_on(self, actor: Any) -> None:
        """Hand on what the watching thread says, until it lets go of the pipe."""
        with contextlib.suppress(Exception):  # the actor is gone, which the other thread finds out
            while (message := self._theirs.receive()) is not None:
                actor.say.remote(cloudpickle.dumps(message))

    def _remove(self) -> None:
        self._kill()


def _cause(error: Exception) -> str:
    """Return what Ray says of a death, without the actor's particulars."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "because" in line), lines[0] if lines else type(error).__name__)
