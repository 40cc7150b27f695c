"""One port for HTTP and gRPC: how a connection begins tells which it is, and gRPC's are passed on to its own door.

That door is on loopback then, and sees this process: whose each connection is, is kept here for the guard. Without TLS
alone. Source: the preface of HTTP/2, RFC 9113, section 3.4.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, cast

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_MAX_SILENCE_S = 30.0
_MAX_WAITING_BYTES = 2**20

clients: dict[int, str] = {}
"""Port of this process on loopback -> address of the client whose connection is passed on from there."""


class SharedConnection(asyncio.Protocol):
    """A connection of which nothing is known yet.

    Args:
        grpc_port: Returns where on loopback gRPC's door is.
        http: Makes what speaks HTTP on it.
    """

    def __init__(self, grpc_port: Callable[[], int], http: Callable[[], asyncio.Protocol]) -> None:
        self._grpc_port, self._http = grpc_port, http
        self._begun = b""
        self._transport: asyncio.Transport
        self._waiting: asyncio.TimerHandle
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for its first bytes, for a while."""
        self._transport = cast("asyncio.Transport", transport)
        self._waiting = asyncio.get_running_loop().call_later(_MAX_SILENCE_S, self._transport.close)

    def data_received(self, data: bytes) -> None:
        """Look whether this is how gRPC begins."""
        self._begun += data
        if self._begun.startswith(_PREFACE):
            self._waiting.cancel()
            self._transport.pause_reading()
            self._opening = asyncio.get_running_loop().create_task(self._pass_on())
        elif not _PREFACE.startswith(self._begun):
            self._waiting.cancel()
            http = self._http()
            self._transport.set_protocol(http)
            http.connection_made(self._transport)
            http.data_received(self._begun)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._waiting.cancel()
        if self._opening is not None:
            self._opening.cancel()

    async def _pass_on(self) -> None:
        loop = asyncio.get_running_loop()
        away = _End(self._transport)
        try:
            inner, _ = await loop.create_connection(lambda: away, "127.0.0.1", self._grpc_port())
        except OSError:
            self._transport.close()
            return
        port = inner.get_extra_info("sockname")[1]
        clients[port] = str((self._transport.get_extra_info("peername") or ("",))[0])
        away.forget = lambda: clients.pop(port, None)
        here = _End(inner)
        here.connection_made(self._transport)
        self._transport.set_protocol(here)
        inner.write(self._begun)
        self._transport.resume_reading()


class _End(asyncio.Protocol):
    """One end of a connection that is passed on: what comes here is written to the other end."""

    def __init__(self, other: asyncio.Transport) -> None:
        self._other = other
        self.forget: Callable[[], Any] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).set_write_buffer_limits(_MAX_WAITING_BYTES)

    def data_received(self, data: bytes) -> None:
        self._other.write(data)

    def pause_writing(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is closing
            self._other.pause_reading()

    def resume_writing(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._other.resume_reading()

    def eof_received(self) -> bool:
        return False  # gRPC does not close one half

    def connection_lost(self, exc: Exception | None) -> None:
        self._other.close()
        self.forget()
