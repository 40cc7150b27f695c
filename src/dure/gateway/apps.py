"""ASGI applications of the user's own beside the Flow, each below a prefix: behind the same guard, in the same process.

Imports them, begins and ends them, and hands them what is theirs. Knows none of the Flow's routes but their names.
"""

import asyncio
import contextlib
import importlib
from collections.abc import Callable
from functools import reduce
from typing import Any

from dure.errors import DureError, StartFailed
from dure.gateway import rules
from dure.gateway.http_exchange import JSON, error_body, to_json
from dure.gateway.lifespan import Lifespan
from dure.log import get_logger
from dure.spec import GatewaySpec
from dure.transport.failure import Failure, rebuild, take_apart

_GOING_AWAY = 1001
_FAILED = 1011
_OURS = {path.split("/")[1] for _, path in rules.HTTP} | set(rules.FAMILIES)


class AppFailed(StartFailed):
    """An app cannot be had or did not begin; `__cause__` is its own exception, in another process, too.

    Args:
        text: What happened.
        failure: Its exception, where there is one.
    """

    def __init__(self, text: str, failure: Failure | None = None) -> None:
        more = "" if failure is None else f": {failure.name}: {failure.text}\n\n{failure.traceback}"
        super().__init__(text + more)
        self._parts = (text, failure)
        self.__cause__ = None if failure is None else rebuild(failure)

    def __reduce__(self) -> Any:
        return type(self), self._parts


class Apps:
    """All of them.

    Args:
        spec: Says which, and by what the Flow itself is called.

    Raises:
        AppFailed: A prefix that is the Flow's own, or a name under which there is no app.
    """

    def __init__(self, spec: GatewaySpec) -> None:
        self._takes_sockets = "websocket" in spec.protocol
        found = [_App(prefix, name) for prefix, name in spec.apps.items()]
        self._apps = sorted(found, key=lambda app: len(app.prefix), reverse=True)  # the longest prefix wins

    def beside(self, flow: Callable[..., Any]) -> Callable[..., Any]:
        """Return an ASGI application: the apps below their prefixes, the Flow's own for everything else."""

        async def serve(scope: dict[str, Any], receive: Any, send: Any) -> None:
            path: str = scope["path"]
            for app in self._apps:
                if path.startswith(app.prefix) and path[len(app.prefix) :][:1] in ("", "/"):
                    await app.serve(scope, receive, send)
                    return
            if scope["type"] == "websocket" and not self._takes_sockets:
                await receive()
                await send({"type": "websocket.close"})
                return
            await flow(scope, receive, send)

        return serve if self._apps else flow

    async def start(self) -> None:
        """Let all of them begin.

        Raises:
            AppFailed: One did not; those before it have ended again.
        """
        for i, app in enumerate(self._apps):
            try:
                await app.lifespan.start()
            except Exception as error:
                for begun in self._apps[:i]:
                    await begun.lifespan.stop(1.0)
                raise AppFailed(f"the app {app} did not start", take_apart(error)) from error

    def finish(self) -> None:
        """Let everybody who is connected by WebSocket go."""
        for app in self._apps:
            app.is_ending.set()

    async def stop(self, grace_s: float) -> None:
        """Let all of them end, for so long at most."""
        await asyncio.gather(*[app.lifespan.stop(grace_s) for app in self._apps])


class _App:
    def __init__(self, prefix: str, name: str) -> None:
        self.prefix, self._name = prefix, name
        if prefix.split("/")[1] in _OURS:
            raise AppFailed(f"apps: {prefix} is the Flow's own; choose another prefix for {name!r}")
        self._app = _imported(self, name)
        self.lifespan = Lifespan(self._app)
        self.is_ending = asyncio.Event()

    def __str__(self) -> str:
        return f"{self._name!r} at {self.prefix}"

    async def serve(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer a request, or serve a WebSocket."""
        own = {key: value for key, value in scope.items() if not key.startswith("dure.")}
        own["root_path"] = scope.get("root_path", "") + self.prefix
        own["state"] = self.lifespan.state.copy()
        socket = _Socket(self.is_ending, receive, send) if scope["type"] == "websocket" else None
        answer = socket or _Answer(receive, send)
        try:
            await self._app(own, answer.receive, answer.send)
        except Exception:  # noqa: BLE001 - whatever user code raises; whoever asked learns nothing of it
            if socket is None or not self.is_ending.is_set():
                get_logger("gateway").exception("the app %s failed: %s", self, scope["path"])
            await answer.fail()


class _Answer:
    """Passes an answer on, and knows how far it is."""

    def __init__(self, receive: Any, send: Any) -> None:
        self.receive, self._send = receive, send
        self._is_begun = self._is_whole = False

    async def send(self, message: dict[str, Any]) -> None:
        self._is_begun = True
        self._is_whole = message["type"] == "http.response.body" and not message.get("more_body")
        await self._send(message)

    async def fail(self) -> None:
        if self._is_begun:
            if not self._is_whole:
                raise ConnectionAbortedError("an answer of which a part is gone")  # ends the connection
            return
        body = to_json({"error": error_body(DureError("the app failed; what happened is in the service's log"))})
        fields = [(b"content-type", JSON), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": 500, "headers": fields})
        await self.send({"type": "http.response.body", "body": body})


class _Socket:
    """A WebSocket that closes when the Flow ends."""

    def __init__(self, is_ending: asyncio.Event, receive: Any, send: Any) -> None:
        self._is_ending, self._receive, self._send = is_ending, receive, send
        self._is_closed = False

    async def receive(self) -> Any:
        told = asyncio.ensure_future(self._receive())
        ends = asyncio.ensure_future(self._is_ending.wait())
        try:
            await asyncio.wait([told, ends], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ends.cancel()
            if not told.done():
                told.cancel()
        if told.done() and not told.cancelled():
            return told.result()
        await self._close(_GOING_AWAY)
        return {"type": "websocket.disconnect", "code": _GOING_AWAY}

    async def send(self, message: dict[str, Any]) -> None:
        if self._is_ending.is_set():
            await self._close(_GOING_AWAY)
            raise OSError("the Flow ends")
        self._is_closed = self._is_closed or message["type"] == "websocket.close"
        await self._send(message)

    async def fail(self) -> None:
        await self._close(_FAILED)

    async def _close(self, code: int) -> None:
        if not self._is_closed:
            self._is_closed = True
            with contextlib.suppress(OSError, RuntimeError):  # the client was faster
                await self._send({"type": "websocket.close", "code": code})


def _imported(app: _App, name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        found = importlib.import_module(module)
    except Exception as error:
        raise AppFailed(
            f"the app {app} cannot be imported by the gateway, which looks where Python did that started the Flow",
            take_apart(error),
        ) from error
    try:
        made = reduce(getattr, attribute.split("."), found)
    except AttributeError as error:
        raise AppFailed(f"the app {app} is not there", take_apart(error)) from error
    if not callable(made):
        raise AppFailed(f"the app {app} is no ASGI application but {type(made).__name__}")
    return made
