"""Frames between processes, and the records in their headers."""

import struct
from typing import Any

import msgspec
from hypothesis import strategies as st

from dure.errors import DecodeError
from dure.transport import messages
from dure.transport.frames import Frame, FrameReader, Kind, pack
from tests.fuzz.mutation import around, odd
from tests.fuzz.search import Search, value_or_error

LIMIT = 300_000
CALL = messages.Call("/upper", b"", 2, stream=False, priority=1, timeout_s=1.5)
HEADERS = [
    messages.encode(one)
    for one in (
        CALL,
        messages.BatchCall("/upper", b"\x80", False, [messages.Item("json", 1, [3])]),
        messages.BatchReply([messages.Outcome(False, 1, 3, b"")], messages.Spent(0.1)),
        messages.Reply(1, {"a": b"\1"}),
        messages.Part(1),
        messages.Leave([1, 2]),
        messages.GatewayHello(messages.VERSION, 5),
        messages.WorkerHello(messages.VERSION, "a", {}, 1, 1, 1),
    )
]
STREAMS = [
    b"".join(bytes(piece) for frame in frames for piece in frame)
    for frames in (
        [pack(Kind.CALL, 1, HEADERS[0], [b"body"]), pack(Kind.CANCEL, 1, b"", [])],
        [pack(Kind.CALL, 2, HEADERS[0], [b"x" * 5000])] * 3,
        [pack(Kind.CALL, 3, b"h" * 9, [b"x" * (LIMIT - 100)]), pack(Kind.HOLD, 1, b"", [])],
        [pack(Kind.CALL, 4, b"", [b"x" * (LIMIT + 1)]), pack(Kind.GO_ON, 1, b"", [])],
    )
]


def read_in(data: bytes, pieces: list[int]) -> list[Frame]:
    """Give a stream to a reader in pieces of these sizes, over and over; return its frames until it gives up."""
    reader, frames, at, turn = FrameReader(LIMIT), list[Frame](), 0, 0
    while at < len(data):
        space = reader.get_buffer()
        assert len(space) > 0
        assert len(space) <= 2 * LIMIT
        piece = data[at : at + min(pieces[turn % len(pieces)], len(space))]
        space[: len(piece)] = piece
        at, turn = at + len(piece), turn + 1
        try:
            frames += reader.updated(len(piece))
        except DecodeError:
            break
    return frames


def test_streams_of_frames(search: Search) -> None:
    def check(given: tuple[bytes, list[int]]) -> None:
        data, pieces = given
        frames, whole = read_in(data, pieces), read_in(data, [2**30])
        told = [(f.kind, f.id, f.header, bytes(f.body)) for f in frames]
        assert told == [(f.kind, f.id, f.header, bytes(f.body)) for f in whole]
        assert sum(len(f.header) + len(f.body) for f in frames if f.kind is not Kind.TOO_LARGE) <= len(data)

    heads = st.builds(
        struct.Struct("<IIQQ").pack,
        st.sampled_from([0, 1, 24, LIMIT, 2**32 - 1]),
        st.sampled_from([0, 1, 24, LIMIT, 2**32 - 1]),
        st.sampled_from([0, 2**64 - 1]),
        st.integers(0, 12) | st.sampled_from([2**64 - 1]),
    )
    streams = st.lists(heads | around(STREAMS), min_size=1, max_size=4).map(b"".join)
    sizes = st.lists(st.sampled_from([1000, 4096, 65536]) | st.integers(100, 9000), min_size=1, max_size=4)
    search(st.tuples(streams, sizes), check)


def _packed(value: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except OverflowError:
        return b"\xc1"


def test_headers(search: Search) -> None:
    kinds = list(messages._decoders)

    def check(data: bytes) -> None:
        for kind in kinds:
            found = value_or_error(lambda kind=kind: messages.decode(kind, data))  # type: ignore[misc]
            if found is not None:
                assert messages.decode(kind, messages.encode(found)) == found or b"\xcb" in data  # NaN is not itself

    values = [msgspec.msgpack.decode(header) for header in HEADERS]
    search(around(HEADERS) | odd(values).map(_packed), check)
