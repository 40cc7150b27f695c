"""A frame connection on an event loop: both ends of gateway <-> worker, the gateway's end towards clients.

Calls `on_frame` for every frame, in order, and `on_closed` once. Knows nothing of what frames mean.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from dure.errors import DecodeError
from dure.transport.frames import Buffers, Frame, FrameReader, Kind, pack


class Connection(asyncio.BufferedProtocol):
    """One peer.

    Args:
        max_frame_bytes: Larger frames are skipped and reported as `Kind.TOO_LARGE`.
        on_frame: Called with this connection and each frame.
        on_closed: Called once with this connection when it is gone, whoever closed it.
        on_opened: Called once with this connection when it is there.
        on_writable: Called whenever the peer, having been slow, has taken what was sent.

    Attributes:
        out_of_reach: Whether it was lost because nothing was heard of the peer, which may live on.
    """

    def __init__(
        self,
        max_frame_bytes: int,
        on_frame: Callable[["Connection", Frame], None],
        on_closed: Callable[["Connection"], None],
        on_opened: Callable[["Connection"], None] | None = None,
        on_writable: Callable[[], None] | None = None,
    ) -> None:
        self._reader = FrameReader(max_frame_bytes)
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._on_opened = on_opened
        self._on_writable = on_writable
        self._transport: asyncio.Transport | None = None
        self._writable: asyncio.Future[None] | None = None
        self._reading = True
        self.out_of_reach = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not subclasses of it
        if self._on_opened is not None:
            self._on_opened(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop."""
        self._transport = None
        self.out_of_reach = isinstance(error, OSError) and not isinstance(error, ConnectionError)
        self.resume_writing()
        self._on_closed(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by the loop."""
        return self._reader.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the loop."""
        try:
            frames = self._reader.updated(nbytes)
        except DecodeError:
            self.close()
            return
        for frame in frames:
            self._on_frame(self, frame)

    def pause_writing(self) -> None:
        """Called by the loop when the peer reads more slowly than we write."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Called by the loop."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None
            if self._on_writable is not None:
                self._on_writable()

    @property
    def is_writable(self) -> bool:
        """Whether the peer keeps up with what it is sent."""
        return self._writable is None

    async def drained(self) -> None:
        """Wait until the peer has taken enough of what was sent, or is gone."""
        if self._writable is not None:
            await self._writable

    def send(self, kind: Kind, number: int, header: bytes, body: Buffers) -> None:
        """Write a frame; if the peer is gone it is dropped (`on_closed` has told so, or will)."""
        self.write(pack(kind, number, header, body))

    def write(self, pieces: Buffers) -> None:
        """Write a frame that is packed already."""
        if self._transport is not None:
            self._transport.writelines(pieces)

    def pause_reading(self) -> None:
        """Take no more from the peer for now."""
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take from the peer again."""
        if not self._reading and self._transport is not None:
            self._reading = True
            self._transport.resume_reading()

    def close(self) -> None:
        """Write what is buffered, then close."""
        if self._transport is not None:
            self._transport.close()
