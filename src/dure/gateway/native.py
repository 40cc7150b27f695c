"""Our own protocol's door: frames on a Unix socket, for Python clients on this machine.

Parses and renders, and bounds what one client may have waiting. Knows nothing of how a request is served.
"""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from dure.document.forms import COLUMNS
from dure.errors import DecodeError, DureError, TooLarge, to_wire
from dure.gateway.job import Answer
from dure.gateway.router import Handle, Outcome, Request, Router
from dure.spec import GatewaySpec
from dure.transport.connection import Connection
from dure.transport.frames import Frame, Kind
from dure.transport.messages import VERSION, Call, GatewayHello, Reply, decode, encode


class NativeFront:
    """Accepts clients on our own channel.

    Args:
        router: Where requests go.
        spec: Limits.
    """

    def __init__(self, router: Router, spec: GatewaySpec) -> None:
        self._router = router
        self._spec = spec
        self._peers: set[_Peer] = set()

    def connection(self) -> Connection:
        """Make the protocol object of a new client."""
        peer = _Peer(self._router, self._spec, self._peers.discard)
        self._peers.add(peer)
        return peer.connection

    async def wait_idle(self) -> None:
        """Wait until no request is on its way."""
        for peer in list(self._peers):
            await peer.idle.wait()

    def close(self) -> None:
        """Close every client's connection."""
        for peer in list(self._peers):
            peer.connection.close()


class _Pending(Struct):
    size: int
    walk: Handle | None = None
    held: bool = False


class _Peer:
    """One client: its requests on their way, and what they weigh."""

    def __init__(self, router: Router, spec: GatewaySpec, on_gone: Callable[["_Peer"], None]) -> None:
        self._router = router
        self._spec = spec
        self._on_gone = on_gone
        self._queued_bytes = 0
        self.pending: dict[int, _Pending] = {}
        self.idle = asyncio.Event()
        self.idle.set()
        self.connection = Connection(
            spec.max_request_bytes, self._on_frame, self._on_closed, self._on_opened, self._on_writable
        )

    def _on_opened(self, connection: Connection) -> None:
        connection.send(Kind.HELLO, 0, encode(GatewayHello(VERSION, self._spec.max_request_bytes)), [])

    def _on_closed(self, connection: Connection) -> None:
        for number in list(self.pending):
            self._withdraw(number)
        self._on_gone(self)

    def _on_frame(self, connection: Connection, frame: Frame) -> None:
        if frame.kind is Kind.CALL:
            self._on_call(frame)
        elif frame.kind is Kind.CANCEL:
            self._withdraw(frame.id)
        elif frame.kind is Kind.TOO_LARGE:
            limit = self._spec.max_request_bytes
            self._send_error(
                frame.id,
                TooLarge(
                    f"a request of {int(frame.header):,} bytes is larger than this Flow accepts"
                    f" (max_request_bytes={limit:,}); send fewer documents a request, or raise the limit"
                ),
            )

    def _on_call(self, frame: Frame) -> None:
        number = frame.id
        try:
            call = decode(Call, frame.header)
            if number in self.pending:
                raise DecodeError(f"request id {number} is in use")
        except DecodeError as error:
            self._send_error(number, error)
            return

        def done(outcome: Outcome | DureError) -> None:
            self._forget(number)
            if isinstance(outcome, DureError):
                self._send_error(number, outcome)
            else:
                header = encode(Reply(outcome.rows, outcome.results, outcome.served if call.explain else {}))
                self.connection.send(Kind.REPLY, number, header, [outcome.payload])
            self._bound()

        def part(answer: Answer) -> None:
            self.connection.send(Kind.PART, number, encode(Reply(answer.rows, {})), [answer.payload])
            if not self.connection.is_writable and not pending.held and pending.walk is not None:
                pending.held = True
                pending.walk.hold(held=True)

        pending = _Pending(len(frame.body))
        self.pending[number] = pending
        self.idle.clear()
        self._queued_bytes += pending.size
        request = Request(
            call.endpoint,
            call.parameters,
            COLUMNS,
            call.rows,
            frame.body,
            call.stream,
            part,
            done,
            call.priority,
            call.timeout_s,
        )
        walk = self._router.submit(request)
        if number in self.pending:  # it may have failed at once
            pending.walk = walk
        self._bound()

    def _withdraw(self, number: int) -> None:
        walk = self._forget(number)
        if walk is not None:
            walk.withdraw()
            self._router.figures.cancelled()

    def _forget(self, number: int) -> Handle | None:
        pending = self.pending.pop(number, None)
        if pending is None:
            return None
        self._queued_bytes -= pending.size
        if not self.pending:
            self.idle.set()
        walk, pending.walk = pending.walk, None  # without the cycle, payloads are freed at once
        return walk

    def _send_error(self, number: int, error: DureError) -> None:
        self.connection.send(Kind.ERROR, number, encode(to_wire(error)), [])

    def _on_writable(self) -> None:
        for pending in self.pending.values():
            if pending.held and pending.walk is not None:
                pending.held = False
                pending.walk.hold(held=False)
        self._bound()

    def _bound(self) -> None:
        """Read from a client only while it has not too much waiting, and reads its answers itself."""
        full = self._queued_bytes > self._spec.max_queued_bytes or len(self.pending) > self._spec.max_queued
        if full or not self.connection.is_writable:
            self.connection.pause_reading()
        else:
            self.connection.resume_reading()
