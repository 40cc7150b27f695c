"""Our own channel, caller's end: frames on the Unix socket of a Flow on this machine.

For one caller that blocks, without threads; carries one `post` at a time. Its twin for an event loop is in
`async_native_channel.py`, apart, since importing asyncio costs a process that does not use it 10 MB.
"""

import select
import socket
from collections import deque
from pathlib import Path

from dure.client.exchange import Incoming
from dure.client.native import GONE, MAX_FRAME_BYTES, Target, incoming_of, limit_of, request_frame
from dure.document.array import DocumentArray
from dure.errors import ConnectionLost
from dure.transport.frames import Buffers, Frame, FrameReader

_MAX_PIECES = 512  # of one sendmsg; the kernel takes 1024


class NativeChannel:
    """A blocking connection.

    Args:
        path: The Flow's socket.

    Raises:
        ConnectionLost: Nobody listens there.
    """

    def __init__(self, path: Path) -> None:
        self._reader = FrameReader(MAX_FRAME_BYTES)
        self._frames: deque[Frame] = deque()
        self._unsent: Buffers = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise ConnectionLost(f"no Flow listens at {path}: {error}") from error
        while not self._frames:
            self._fill(wait=True)
        self._limit = limit_of(self._frames.popleft())

    def call(self, number: int, target: Target, documents: DocumentArray) -> int:
        """Take one request, to be sent with the next `poll` or `receive`; return its size in bytes.

        Raises:
            TooLarge: It is more than the Flow accepts; nothing was sent.
            ValidationError: A value in it cannot travel; nothing was sent.
            ConnectionLost: The Flow went away.
        """
        pieces, size = request_frame(number, target, documents, self._limit)
        self._unsent += pieces
        return size

    def poll(self) -> list[Incoming]:
        """Send what has been called; return what has arrived, without waiting."""
        self._flush()
        self._fill(wait=False)
        return self._take()

    def receive(self) -> list[Incoming]:
        """Send what has been called, wait until something has arrived, and return it."""
        self._flush()
        while not self._frames:
            self._fill(wait=True)
        return self._take()

    @property
    def is_open(self) -> bool:
        """Whether the Flow is still at the other end; asked while nothing is under way."""
        try:
            return self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Close the connection; what is under way is withdrawn."""
        self._socket.close()

    def _take(self) -> list[Incoming]:
        frames = list(self._frames)
        self._frames.clear()
        return [incoming_of(frame) for frame in frames]

    def _fill(self, *, wait: bool) -> None:
        try:
            count = self._socket.recv_into(self._reader.get_buffer(), 0, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            raise ConnectionLost(f"{GONE}: {error}") from error
        if count == 0:
            raise ConnectionLost(GONE)
        self._frames.extend(self._reader.updated(count))

    def _flush(self) -> None:
        # The Flow stops reading while its answers are not read, so waiting to write means reading, too.
        pieces, self._unsent = self._unsent, []
        while pieces:
            try:
                sent = self._socket.sendmsg(pieces[:_MAX_PIECES], (), socket.MSG_DONTWAIT)
            except BlockingIOError:
                readable, _, _ = select.select([self._socket], [self._socket], [])
                if readable:
                    self._fill(wait=False)
                continue
            except OSError as error:
                raise ConnectionLost(f"{GONE}: {error}") from error
            pieces = _after(pieces, sent)


def _after(pieces: Buffers, sent: int) -> Buffers:
    for i, piece in enumerate(pieces):
        if sent < len(piece):
            return [memoryview(piece)[sent:], *pieces[i + 1 :]]
        sent -= len(piece)
    return []
