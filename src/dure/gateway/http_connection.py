"""A client's HTTP connection: uvicorn's, that also ends requests of clients who leave, and clients who dawdle.

Knows how long things may take and how large a head may be. Knows nothing of what is asked.
"""

from asyncio import Transport
from collections.abc import Callable
from time import monotonic
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from dure.gateway.age import aged

_MAX_HEAD_BYTES = 64 * 1024
_LOOK_S = 10.0
# A request has so long to arrive, and the more of it has come the longer: slower than this nobody is by accident.
_REQUEST_S = 30.0
_LEAST_BYTES_PER_S = 10_000


class Corked:
    """A transport that can be told to keep what is written, so that it goes out in one call of the system.

    Args:
        transport: The one below; it answers for everything else.
    """

    __slots__ = ("_kept", "_transport")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._kept: list[bytes] | None = None

    def write(self, data: bytes) -> None:
        """Write, or keep; nothing, where the client has gone."""
        if self._kept is not None:
            self._kept.append(data)
        elif not self._transport.is_closing():  # uvloop's raises, asyncio's does not
            self._transport.write(data)

    def cork(self) -> None:
        """Keep what is written from now on."""
        self._kept = []

    def uncork(self) -> None:
        """Write what was kept."""
        kept, self._kept = self._kept, None
        if kept:
            self.write(b"".join(kept))

    def close(self) -> None:
        """Write what was kept, and close."""
        self.uncork()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class HttpConnection(HttpToolsProtocol):
    """One connection, of any number of requests after each other.

    Args:
        config: Of the server.
        state: Of the server: which connections it has.
        max_age_s: After how long, give or take a tenth, its client is told to connect again.

    Attributes:
        on_lost: Called if the client goes away while its request is served.
        corked: What is written to.
    """

    on_lost: Callable[[], None] | None = None
    corked: Corked
    _head_bytes = 0
    _body_bytes = 0
    _reading_since: float | None = None
    _looking: Any = None
    _ageing: Any = None
    _is_old = False

    def __init__(self, config: Config, state: ServerState, max_age_s: float | None) -> None:
        super().__init__(config, state, {})
        self._max_age_s = max_age_s

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to watch for a client who does not come to the end of a request."""
        self.corked = Corked(transport)
        super().connection_made(self.corked)  # type: ignore[arg-type]
        self._reading_since = monotonic()
        self._looking = self.loop.call_later(_LOOK_S, self._look)
        if self._max_age_s is not None:
            self._ageing = self.loop.call_later(aged(self._max_age_s), self._retire)

    def connection_lost(self, exc: Exception | None) -> None:
        """Withdraw what nobody waits for any more."""
        super().connection_lost(exc)
        self._watch_no_more()
        on_lost, self.on_lost = self.on_lost, None
        if on_lost is not None:
            on_lost()

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self.scope["dure.connection"] = self  # type: ignore[typeddict-unknown-key]
        self._head_bytes = self._body_bytes = 0
        self._reading_since = monotonic()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there; from now on it is the service that takes its time."""
        super().on_message_complete()
        self._reading_since = None
        if self._is_old:
            self.cycle.keep_alive = False

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over; it is not this object's any more."""
        self._watch_no_more()
        super().handle_websocket_upgrade()

    def _watch_no_more(self) -> None:
        for timer in (self._looking, self._ageing):
            if timer is not None:
                timer.cancel()

    def _retire(self) -> None:
        """End with the answer that is on its way; a request of which some is here is answered before."""
        if self._head_bytes and self._reading_since is not None:
            self._is_old = True
        else:
            self.shutdown()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > _MAX_HEAD_BYTES:
            raise ValueError(f"a head of more than {_MAX_HEAD_BYTES:,} bytes")  # ends the connection with a 400

    def _look(self) -> None:
        since = self._reading_since
        if since is not None and monotonic() - since > _REQUEST_S + self._body_bytes / _LEAST_BYTES_PER_S:
            self.transport.close()
            return
        self._looking = self.loop.call_later(_LOOK_S, self._look)
