"""Our own channel, caller's end, on an event loop: frames on the Unix socket of a Flow on this machine.

For one coroutine; carries one `post` at a time.
"""

import asyncio
from collections import deque
from pathlib import Path

from dure.client.exchange import Incoming
from dure.client.native import GONE, MAX_FRAME_BYTES, Target, incoming_of, limit_of, request_frame
from dure.document.array import DocumentArray
from dure.errors import ConnectionLost
from dure.transport.connection import Connection
from dure.transport.frames import Frame

_MAX_WAITING_BYTES = 4 * 2**20  # of answers that the caller has not taken, after which no more are read


class AsyncNativeChannel:
    """A connection on the running event loop; make it with `open`."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._frames_bytes = 0
        self._writing = False
        self._arrived = asyncio.Event()
        self._lost = False
        self._loop = asyncio.get_running_loop()
        self._limit = 0
        self._connection = Connection(MAX_FRAME_BYTES, self._on_frame, self._on_closed)

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
        try:
            await self._wait()
            self._limit = limit_of(self._frames.popleft())
        except BaseException:  # also when the caller's own timeout ends: nobody else would close the connection
            self._connection.close()
            raise
        return self

    async def call(self, number: int, target: Target, documents: DocumentArray) -> int:
        """Send one request, as `NativeChannel.call`."""
        pieces, size = request_frame(number, target, documents, self._limit)
        self._connection.write(pieces)
        if not self._connection.is_writable:
            # The Flow stops reading while its answers are not read, so waiting to write means reading, too.
            self._writing = True
            self._connection.resume_reading()
            await self._connection.drained()
            self._writing = False
        return size

    def poll(self) -> list[Incoming]:
        """Return what has arrived, without waiting."""
        frames = list(self._frames)
        self._frames.clear()
        self._frames_bytes = 0
        self._connection.resume_reading()
        return [incoming_of(frame) for frame in frames]

    async def receive(self) -> list[Incoming]:
        """Wait until something has arrived; return it."""
        await self._wait()
        return self.poll()

    @property
    def is_open(self) -> bool:
        """Whether the Flow is still at the other end, and this is the loop that it was opened on."""
        return not self._lost and self._loop is asyncio.get_running_loop()

    async def close(self) -> None:
        """Close the connection; what is under way is withdrawn."""
        if not self._loop.is_closed():
            self._connection.close()

    async def _wait(self) -> None:
        while not self._frames:
            if self._lost:
                raise ConnectionLost(GONE)
            self._arrived.clear()
            await self._arrived.wait()

    def _on_frame(self, connection: Connection, frame: Frame) -> None:
        self._frames.append(frame)
        self._frames_bytes += len(frame.body)
        if self._frames_bytes > _MAX_WAITING_BYTES and not self._writing:
            self._connection.pause_reading()
        self._arrived.set()

    def _on_closed(self, connection: Connection) -> None:
        self._lost = True
        self._arrived.set()
