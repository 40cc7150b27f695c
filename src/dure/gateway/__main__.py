"""The gateway's program: read the graph from the private pipe, open the doors, connect to workers as they come up.

Ends with its parent: the private pipe closes with it. SIGTERM drains: no new clients, what is on its way is answered.
"""

import asyncio
import contextlib
import faulthandler
import gc
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from dure.errors import DureError, StartFailed, to_wire
from dure.gateway.apps import AppFailed, Apps
from dure.gateway.assignment import Assignment
from dure.gateway.audit import Audit
from dure.gateway.grpc_front import GrpcFront
from dure.gateway.guard import Guard
from dure.gateway.native import NativeFront
from dure.gateway.router import Router
from dure.gateway.traces import Traces
from dure.log import LIFECYCLE, get_logger
from dure.spec import GatewaySpec
from dure.transport.address import listening_socket, native_path
from dure.transport.control import Control

if TYPE_CHECKING:
    from dure.gateway.http_front import HttpFront
    from dure.gateway.metrics_page import MetricsPage

_DRAIN_S = 10.0


def main() -> None:
    """Run the gateway."""
    import uvloop

    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = Control.of_child()
    assignment = control.receive()
    if isinstance(assignment, Assignment):
        sys.path[:] = assignment.sys_path
        uvloop.run(_Gateway(control, assignment).run())


class _Gateway:
    def __init__(self, control: Control, assignment: Assignment) -> None:
        self._control = control
        self._assignment = assignment
        self._router = Router(assignment.nodes, self._tell_health, self._tell)
        self._native = NativeFront(self._router, assignment.spec)
        self._doors: list[GrpcFront | HttpFront] = []
        self._apps: Apps | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        audit = self._assignment.spec.audit_file
        try:
            self._router.traces = self._traces()
            self._apps = Apps(self._assignment.spec)
            await self._apps.start()
            guard = Guard(self._assignment.spec, None if audit is None else Audit(Path(audit)))
            ports = await self._open_doors(guard)
            page = self._metrics_page(guard)
            spec = self._assignment.spec
            shared = os.getpid() if spec.reuse_port else None
            path = native_path(spec.host, next(iter(ports.values())), shared)
            listener = await loop.create_unix_server(self._native.connection, sock=listening_socket(path))
        except (OSError, DureError) as error:
            await self._give_up(error)
            return
        if not self._router.dispatchers:
            await self._set_serving()
        self._control.send({"ready": ports, "metrics_port": 0 if page is None else page.port})
        get_logger("gateway").log(LIFECYCLE, "ready and listening")
        threading.Thread(target=self._listen_to_parent, args=(loop,), daemon=True).start()
        # What is there now stays; a request leaves no cycles behind, so looking for them often is waste.
        gc.freeze()
        gc.set_threshold(20_000)
        await stop.wait()
        self._router.is_ending = True
        listener.close()
        self._apps.finish()
        await asyncio.gather(*[door.close(_DRAIN_S) for door in self._doors])
        await self._apps.stop(_DRAIN_S)
        if page is not None:
            await asyncio.to_thread(page.close)
        await self._drain()
        path.unlink(missing_ok=True)
        self._native.close()
        guard.close()
        if self._router.traces is not None:
            await asyncio.to_thread(self._router.traces.close)
        for dispatcher in self._router.dispatchers.values():
            dispatcher.close()

    async def _give_up(self, error: Exception) -> None:
        if self._apps is not None:
            await self._apps.stop(_DRAIN_S)
        failed = error if isinstance(error, AppFailed) else StartFailed(f"the gateway cannot listen: {error}")
        self._control.send({"failed": failed})

    def _traces(self) -> Traces | None:
        spec = self._assignment.spec
        return None if spec.traces_address is None else Traces(spec.traces_address, spec.traces_share)

    def _metrics_page(self, guard: Guard) -> "MetricsPage | None":
        spec = self._assignment.spec
        if spec.metrics_port is None:
            return None
        from dure.gateway.metrics_page import MetricsPage

        return MetricsPage(self._router, guard, spec)

    async def _open_doors(self, guard: Guard) -> dict[str, int]:
        """Listen; return the port of each protocol, and of the door that is no public one."""
        spec = self._assignment.spec
        public = replace(spec, page=spec.page and spec.admin_port is None)
        found: dict[str, GrpcFront | HttpFront] = {}
        web: HttpFront | None = None
        for name, port in spec.ports.items():
            if name == "grpc":
                inner = replace(public, host="127.0.0.1", reuse_port=False) if spec.shares_port else public
                found[name] = GrpcFront(self._router, guard, inner, 0 if spec.shares_port else port)
            else:
                found[name] = web = web or self._http_front(guard, public, port, self._apps)
        if spec.admin_port is not None:
            own = replace(spec, host="127.0.0.1", protocol=["http"], reuse_port=False, max_connection_age_s=None)
            found["admin"] = self._http_front(guard, own, spec.admin_port, None)
        if web is not None and spec.shares_port:
            grpc = found["grpc"]
            web.grpc_port = lambda: grpc.port
        self._doors = list(dict.fromkeys(found.values()))
        for door in self._doors:
            await door.open()
        public_ports = spec.ports if spec.shares_port else {}
        return {name: public_ports.get(name, door.port) for name, door in found.items()}

    def _http_front(self, guard: Guard, spec: GatewaySpec, port: int, apps: Apps | None) -> "HttpFront":
        from dure.gateway.http_front import HttpFront

        return HttpFront(self._router, guard, spec, port, apps)

    def _tell_health(self) -> None:
        self._spawn(self._set_serving())

    async def _set_serving(self) -> None:
        for door in self._doors:
            await door.set_serving(self._router.available)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await self._native.wait_idle()

    def _listen_to_parent(self, loop: asyncio.AbstractEventLoop) -> None:
        while (message := self._control.receive()) is not None:
            loop.call_soon_threadsafe(self._obey, message)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def _obey(self, message: dict[str, Any]) -> None:
        dispatcher = self._router.dispatchers[message["executor"]]
        if "failed" in message:
            dispatcher.fail(message["failed"])
        elif "silent" in message:
            dispatcher.set_silent(message["address"], silent=message["silent"])
        else:
            self._spawn(self._attach(message))

    async def _attach(self, message: dict[str, Any]) -> None:
        name, address = message["executor"], message["address"]

        def told(error: DureError | None) -> None:
            self._tell({"attached": address, "error": None if error is None else to_wire(error)})

        try:
            await self._router.dispatchers[name].attach(address, message["replica"], told)
        except OSError as error:
            told(StartFailed(f"the gateway cannot reach the worker of {name} at {address}: {error}"))

    def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._control.send(message)


if __name__ == "__main__":
    main()
