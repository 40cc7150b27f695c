"""The HTTP door: listens, and ends in order. Routes are in `http_app.py`, one connection in `http_connection.py`."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from dure.deps import require
from dure.errors import StartFailed
from dure.gateway.apps import Apps
from dure.gateway.guard import Guard
from dure.gateway.http_app import HttpApp
from dure.gateway.http_guard import HttpGuard
from dure.gateway.router import Router
from dure.gateway.shared_port import SharedConnection
from dure.gateway.tls import context_of
from dure.spec import GatewaySpec

_BACKLOG = 2048
_KEEP_ALIVE_S = 75
_HANDSHAKE_S = 10.0
_LOOK_S = 0.05


class HttpFront:
    """Listens on a public port.

    Args:
        router: Where requests go.
        guard: Who is let in.
        spec: Address and limits.
        port: Port to listen on; 0 takes a free one.
        apps: What stands beside the Flow. None: it is no public door.

    Attributes:
        grpc_port: Returns where on loopback gRPC's door is, if this port is its as well.
    """

    grpc_port: Callable[[], int] | None = None

    def __init__(self, router: Router, guard: Guard, spec: GatewaySpec, port: int, apps: Apps | None) -> None:
        uvicorn = require("uvicorn", "http")
        require("httptools", "http")
        require("websockets", "http")
        from dure.gateway.http_connection import HttpConnection

        self._app = HttpApp(router, spec)
        app = self._app if apps is None else apps.beside(self._app)
        self._spec = spec
        self._config = uvicorn.Config(
            HttpGuard(app, guard, spec, inside=apps is None),
            http=HttpConnection,
            ws="websockets-sansio" if "websocket" in spec.protocol or app is not self._app else "none",
            ws_max_size=spec.max_request_bytes,
            ws_per_message_deflate=False,  # a few bytes of it unpack to gigabytes
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            proxy_headers=bool(spec.trusted_proxies),
            forwarded_allow_ips=spec.trusted_proxies,
        )
        self._config.load()
        self._state = uvicorn.server.ServerState()
        self._server: asyncio.Server | None = None
        self.port = port

    async def open(self) -> None:
        """Listen.

        Raises:
            StartFailed: The address is taken or not this machine's.
            SpecError: A certificate or key that cannot be used.
        """
        from dure.gateway.http_connection import HttpConnection

        tls = context_of(self._spec)
        config, state, max_age_s = self._config, self._state, self._spec.max_connection_age_s
        grpc_port = self.grpc_port

        def http() -> asyncio.Protocol:
            return HttpConnection(config, state, max_age_s)

        try:
            self._server = await asyncio.get_running_loop().create_server(
                http if grpc_port is None else lambda: SharedConnection(grpc_port, http),
                self._spec.host,
                self.port,
                backlog=_BACKLOG,
                ssl=tls,
                ssl_handshake_timeout=None if tls is None else _HANDSHAKE_S,
                reuse_port=self._spec.reuse_port or None,
                family=socket.AF_INET6 if ":" in self._spec.host else socket.AF_INET,
            )
        except OSError as error:
            raise StartFailed(f"{self._spec.host}:{self.port} cannot be listened on: {error}") from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def set_serving(self, serving: bool) -> None:
        """Nothing to do: readiness is looked up when it is asked for."""

    async def close(self, grace_s: float) -> None:
        """Listen no more, let what is on its way finish, and close the connections."""
        if self._server is not None:
            self._server.close()
        self._app.sockets.finish()
        for connection in list(self._state.connections):
            if isinstance(connection, self._config.http_protocol_class):
                connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while self._state.connections:  # noqa: ASYNC110 - uvicorn keeps them in a set and tells nobody
                    await asyncio.sleep(_LOOK_S)
