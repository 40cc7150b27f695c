"""Our own channel, caller's end: frames on the Unix socket of a Flow on this machine.

`NativeChannel` is for one caller that blocks, without threads; `AsyncNativeChannel` is for one coroutine. Both carry
one `post` at a time.
"""

import asyncio
import select
import socket
from collections import deque
from pathlib import Path

from msgspec import Struct

from dure.client.exchange import Incoming
from dure.document.array import DocumentArray
from dure.document.codec import decode, encode
from dure.errors import ConnectionLost, TooLarge, from_wire
from dure.transport import messages
from dure.transport.connection import Connection
from dure.transport.frames import Buffers, Frame, FrameReader, Kind, pack

_MAX_FRAME_BYTES = 0xFFFFFFFF
_MAX_PIECES = 512  # of one sendmsg; the kernel takes 1024
_GONE = "the connection to the Flow was lost; what was under way may or may not have been done"


class Target(Struct, frozen=True):
    """What is called: endpoint, encoded parameters, and whether parts of answers are wanted as they are made."""

    endpoint: str
    parameters: bytes
    stream: bool


def _request(number: int, target: Target, documents: DocumentArray, limit: int) -> tuple[Buffers, int]:
    body: Buffers = list(encode(documents))
    size = sum([len(piece) for piece in body])
    if size + 4096 + len(target.parameters) > limit:
        raise TooLarge(
            f"a request of {len(documents)} documents takes {size:,} bytes; this Flow accepts {limit:,}"
            " (max_request_bytes): send fewer documents a request (request_size), or raise the limit"
        )
    call = messages.Call(target.endpoint, target.parameters, len(documents), target.stream)
    return pack(Kind.CALL, number, messages.encode(call), body), size


def _incoming(frame: Frame) -> Incoming:
    if frame.kind is Kind.ERROR:
        return Incoming(frame.id, error=from_wire(messages.decode_error(frame.header)))
    reply = messages.decode(messages.Reply, frame.header)
    return Incoming(frame.id, decode(frame.body), results=reply.results, final=frame.kind is Kind.REPLY)


def _limit(frame: Frame) -> int:
    hello = messages.decode(messages.GatewayHello, frame.header)
    messages.check_version(hello.version, "the Flow")
    return hello.max_request_bytes


class NativeChannel:
    """A blocking connection.

    Args:
        path: The Flow's socket.

    Raises:
        ConnectionLost: Nobody listens there.
    """

    def __init__(self, path: Path) -> None:
        self._reader = FrameReader(_MAX_FRAME_BYTES)
        self._frames: deque[Frame] = deque()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise ConnectionLost(f"no Flow listens at {path}: {error}") from error
        while not self._frames:
            self._fill(wait=True)
        self._limit = _limit(self._frames.popleft())

    def call(self, number: int, target: Target, documents: DocumentArray) -> int:
        """Send one request; return its size in bytes.

        Raises:
            TooLarge: It is more than the Flow accepts; nothing was sent.
            ValidationError: A value in it cannot travel; nothing was sent.
            ConnectionLost: The Flow went away.
        """
        pieces, size = _request(number, target, documents, self._limit)
        self._send(pieces)
        return size

    def poll(self) -> list[Incoming]:
        """Return what has arrived, without waiting."""
        self._fill(wait=False)
        return self._take()

    def receive(self) -> list[Incoming]:
        """Wait until something has arrived; return it."""
        while not self._frames:
            self._fill(wait=True)
        return self._take()

    def close(self) -> None:
        """Close the connection; what is under way is withdrawn."""
        self._socket.close()

    def _take(self) -> list[Incoming]:
        frames = list(self._frames)
        self._frames.clear()
        return [_incoming(frame) for frame in frames]

    def _fill(self, *, wait: bool) -> None:
        try:
            count = self._socket.recv_into(self._reader.get_buffer(), 0, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            raise ConnectionLost(f"{_GONE}: {error}") from error
        if count == 0:
            raise ConnectionLost(_GONE)
        self._frames.extend(self._reader.updated(count))

    def _send(self, pieces: Buffers) -> None:
        # The Flow stops reading while its answers are not read, so waiting to write means reading, too.
        while pieces:
            try:
                sent = self._socket.sendmsg(pieces[:_MAX_PIECES], (), socket.MSG_DONTWAIT)
            except BlockingIOError:
                readable, _, _ = select.select([self._socket], [self._socket], [])
                if readable:
                    self._fill(wait=False)
                continue
            except OSError as error:
                raise ConnectionLost(f"{_GONE}: {error}") from error
            pieces = _after(pieces, sent)


def _after(pieces: Buffers, sent: int) -> Buffers:
    for i, piece in enumerate(pieces):
        if sent < len(piece):
            return [memoryview(piece)[sent:], *pieces[i + 1 :]]
        sent -= len(piece)
    return []


class AsyncNativeChannel:
    """A connection on the running event loop; make it with `open`."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._arrived = asyncio.Event()
        self._lost = False
        self._limit = 0
        self._connection = Connection(_MAX_FRAME_BYTES, self._on_frame, self._on_closed)

    @classmethod
    async def open(cls, path: Path) -> "AsyncNativeChannel":
        """Connect to the Flow's socket.

        Raises:
            ConnectionLost: Nobody listens there.
        """
        self = cls()
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: self._connection, str(path))
        except OSError as error:
            raise ConnectionLost(f"no Flow listens at {path}: {error}") from error
        await self._wait()
        self._limit = _limit(self._frames.popleft())
        return self

    async def call(self, number: int, target: Target, documents: DocumentArray) -> int:
        """Send one request, as `NativeChannel.call`."""
        pieces, size = _request(number, target, documents, self._limit)
        self._connection.write(pieces)
        await self._connection.drained()
        return size

    def poll(self) -> list[Incoming]:
        """Return what has arrived, without waiting."""
        frames = list(self._frames)
        self._frames.clear()
        return [_incoming(frame) for frame in frames]

    async def receive(self) -> list[Incoming]:
        """Wait until something has arrived; return it."""
        await self._wait()
        return self.poll()

    async def close(self) -> None:
        """Close the connection; what is under way is withdrawn."""
        self._connection.close()

    async def _wait(self) -> None:
        while not self._frames:
            if self._lost:
                raise ConnectionLost(_GONE)
            self._arrived.clear()
            await self._arrived.wait()

    def _on_frame(self, connection: Connection, frame: Frame) -> None:
        self._frames.append(frame)
        self._arrived.set()

    def _on_closed(self, connection: Connection) -> None:
        self._lost = True
        self._arrived.set()
