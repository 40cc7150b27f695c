"""Length-prefixed frames: how a run of bytes is cut into messages, whoever reads and writes the bytes.

    frame = u32 header length | u32 body length | u64 id | u64 kind | body | header

The body comes first so that it starts on a multiple of 8 and arrays in it are aligned. The header is msgpack; what is
in it is said in `messages.py`. Knows no sockets and no event loop.
"""

import struct
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from dure.errors import DecodeError, TooLarge

Buffers: TypeAlias = list[bytes | bytearray | memoryview]

_HEAD = struct.Struct("<IIQQ")
_BUFFER_BYTES = 256 * 1024
_FIRST_BUFFER_BYTES = 8 * 1024  # many connections carry small frames only; a busy one soon has more


class Kind(IntEnum):
    """What a frame is."""

    HELLO = 1
    CALL = 2
    REPLY = 3
    PART = 4
    ERROR = 5
    CANCEL = 6
    TOO_LARGE = 7
    """Never sent: stands in for a frame that was larger than the reader allows and has been skipped."""
    HOLD = 8
    """Make no more parts of this answer for now: who asked for it reads them slowly."""
    GO_ON = 9
    LEAVE = 10
    """From a worker that ends: of the calls it was sent, only those named in the header are begun, or ever will be."""


_KINDS = {int(kind): kind for kind in Kind if kind is not Kind.TOO_LARGE}


class Frame(NamedTuple):
    """One message."""

    kind: Kind
    id: int
    header: bytes
    body: bytearray | memoryview


def pack(kind: Kind, number: int, header: bytes, body: Buffers) -> Buffers:
    """Return the pieces of a frame, to be written one after the other; `body` is not copied."""
    size = sum([len(piece) for piece in body])
    if size > 0xFFFFFFFF:
        raise TooLarge(f"a message of {size:,} bytes is more than a frame can hold (4 GiB)")
    return [_HEAD.pack(len(header), size, number, kind), *body, header]


class FrameReader:
    """Cuts what arrives into frames: `get_buffer` says where to put bytes, `updated` that they are there.

    Args:
        max_frame_bytes: A larger frame is skipped as it arrives and reported as one of kind TOO_LARGE, with its size
            as the header; nothing is allocated for it.
    """

    __slots__ = ("_buffer", "_filled", "_large", "_large_filled", "_limit", "_skip", "_view")

    def __init__(self, max_frame_bytes: int) -> None:
        self._limit = max_frame_bytes
        self._buffer = bytearray(_FIRST_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._large: bytearray | None = None
        self._large_filled = 0
        self._skip = 0

    def get_buffer(self) -> memoryview:
        """Return the space the next bytes go into; it is never empty."""
        if self._large is not None:
            return memoryview(self._large)[self._large_filled :]
        return self._view[self._filled :]

    def updated(self, count: int) -> list[Frame]:
        """Take in `count` bytes that were put into `get_buffer()`; return the frames that are complete now.

        Raises:
            DecodeError: What arrived is no frame; the connection is of no further use.
        """
        if self._large is not None:
            self._large_filled += count
            if self._large_filled < len(self._large):
                return []
            return [self._finish_large(self._large)]
        self._filled += count
        was_full = self._filled == len(self._buffer)
        frames = self._cut()
        if was_full and len(self._buffer) < _BUFFER_BYTES:
            self._grow()
        return frames

    def _grow(self) -> None:
        larger = bytearray(min(4 * len(self._buffer), _BUFFER_BYTES))
        larger[: self._filled] = self._view[: self._filled]
        self._buffer, self._view = larger, memoryview(larger)

    def _finish_large(self, large: bytearray) -> Frame:
        _, body_size, number, kind = _HEAD.unpack_from(large)
        end = _HEAD.size + body_size
        self._large = None
        return Frame(_KINDS[kind], number, bytes(large[end:]), memoryview(large)[_HEAD.size : end])

    def _cut(self) -> list[Frame]:
        frames: list[Frame] = []
        view, start, filled = self._view, 0, self._filled
        if self._skip:
            start = min(self._skip, filled)
            self._skip -= start
        while filled - start >= _HEAD.size:
            header_size, body_size, number, kind = _HEAD.unpack_from(view, start)
            if kind not in _KINDS:
                if frames:
                    break  # these first
                raise DecodeError(f"not a frame: its kind is {kind}")
            size = _HEAD.size + body_size + header_size
            if size > self._limit:
                frames.append(Frame(Kind.TOO_LARGE, number, str(size).encode(), bytearray()))
                gone = min(size, filled - start)
                self._skip = size - gone
                start += gone
                continue
            if filled - start < size:
                if size > _BUFFER_BYTES // 2:
                    self._begin_large(size, start)
                    return frames
                break
            body = start + _HEAD.size
            end = body + body_size
            frames.append(Frame(_KINDS[kind], number, bytes(view[end : end + header_size]), bytearray(view[body:end])))
            start += size
        if start:
            rest = filled - start
            self._buffer[:rest] = self._buffer[start:filled]
            self._filled = rest
        return frames

    def _begin_large(self, size: int, start: int) -> None:
        have = self._filled - start
        self._large = bytearray(size)
        self._large[:have] = self._view[start : self._filled]
        self._large_filled = have
        self._filled = 0
