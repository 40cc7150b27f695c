"""Frames: however the bytes of a connection are cut, the same frames come out."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.errors import DecodeError, TooLarge
from dure.transport.frames import Frame, FrameReader, Kind, pack

LIMIT = 2**20
SENT = [kind for kind in Kind if kind is not Kind.TOO_LARGE]

frames = st.lists(
    st.tuples(
        st.sampled_from(SENT),
        st.integers(0, 2**64 - 1),
        st.binary(max_size=40),
        st.one_of(
            st.binary(max_size=60), st.sampled_from([0, 1, 100_000, 131_040, 131_100, 262_144, 700_000]).map(bytes)
        ),
    ),
    max_size=6,
)


def wire(sent: list[Any]) -> bytes:
    return b"".join(bytes(piece) for kind, number, header, body in sent for piece in pack(kind, number, header, [body]))


def read(reader: FrameReader, data: bytes, cuts: list[int]) -> list[Frame]:
    """Feed bytes in pieces of these sizes, then in as large ones as go."""
    found: list[Frame] = []
    sizes = iter(cuts)
    rest = memoryview(data)
    while rest:
        buffer = reader.get_buffer()
        assert len(buffer) > 0
        count = min(next(sizes, LIMIT), len(buffer), len(rest))
        buffer[:count] = rest[:count]
        rest = rest[count:]
        found += reader.updated(count)
    return found


def plain(found: list[Frame]) -> list[Any]:
    return [(frame.kind, frame.id, bytes(frame.header), bytes(frame.body)) for frame in found]


@settings(deadline=None, max_examples=60)
@given(frames, st.lists(st.integers(1, 300_000), min_size=1, max_size=8))
def test_any_chunking_gives_the_same_frames(sent: list[Any], cuts: list[int]) -> None:
    assert plain(read(FrameReader(LIMIT), wire(sent), cuts)) == sent


def test_byte_by_byte() -> None:
    sent = [(Kind.CALL, 7, b"header", b"body"), (Kind.REPLY, 2**64 - 1, b"", b""), (Kind.CANCEL, 0, b"x", b"")]
    assert plain(read(FrameReader(LIMIT), wire(sent), [1] * 1000)) == sent


@settings(deadline=None, max_examples=40)
@given(frames, st.lists(st.integers(1, 300_000), min_size=1, max_size=5), st.integers(30, 200_000))
def test_frames_over_the_limit_are_skipped_and_told(sent: list[Any], cuts: list[int], limit: int) -> None:
    sizes = [len(wire([one])) for one in sent]
    expected = [
        one if size <= limit else (Kind.TOO_LARGE, one[1], str(size).encode(), b"")
        for one, size in zip(sent, sizes, strict=True)
    ]
    assert plain(read(FrameReader(limit), wire(sent), cuts)) == expected


def test_for_a_frame_over_the_limit_nothing_is_allocated() -> None:
    reader = FrameReader(1000)
    head = bytes(pack(Kind.CALL, 1, b"", [b""])[0])
    claimed = (0xFFFFFFFF).to_bytes(4, "little")
    (frame,) = read(reader, claimed + claimed + head[8:], [24])
    assert frame.kind is Kind.TOO_LARGE
    assert int(frame.header) == 2 * 0xFFFFFFFF + 24
    assert len(reader.get_buffer()) < LIMIT


@given(st.binary(min_size=24, max_size=64).filter(lambda data: int.from_bytes(data[16:24], "little") not in SENT))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match="not a frame"):
        read(FrameReader(LIMIT), data, [64])


def test_a_kind_that_is_never_sent_is_refused() -> None:
    data = bytearray(wire([(Kind.CALL, 1, b"", b"")]))
    data[16] = Kind.TOO_LARGE
    with pytest.raises(DecodeError):
        read(FrameReader(LIMIT), bytes(data), [64])


@settings(deadline=None, max_examples=40)
@given(frames, st.lists(st.integers(1, 300_000), min_size=1, max_size=5))
def test_frames_before_garbage_arrive(sent: list[Any], cuts: list[int]) -> None:
    reader, found = FrameReader(LIMIT), []
    rest = memoryview(wire(sent) + b"\xff" * 48)
    with pytest.raises(DecodeError):  # noqa: PT012 - what came before it counts
        for size in [*cuts, *[LIMIT] * 100]:
            buffer = reader.get_buffer()
            count = min(size, len(buffer), len(rest))
            buffer[:count] = rest[:count]
            rest = rest[count:]
            found += reader.updated(count)
    assert plain(found) == sent


def test_bodies_are_aligned_and_own() -> None:
    reader = FrameReader(LIMIT)
    first, second = read(reader, wire([(Kind.CALL, 1, b"h", b"x" * 8), (Kind.CALL, 2, b"", b"y" * 200_000)]), [LIMIT])
    read(reader, wire([(Kind.CALL, 3, b"z" * 100, b"z" * 100)]), [LIMIT])
    assert bytes(first.body) == b"x" * 8
    assert bytes(second.body) == b"y" * 200_000


def test_several_pieces_make_one_body() -> None:
    pieces = pack(Kind.CALL, 1, b"h", [b"ab", bytearray(b"cd"), memoryview(b"ef")])
    assert plain(read(FrameReader(LIMIT), b"".join(pieces), [LIMIT])) == [(Kind.CALL, 1, b"h", b"abcdef")]


def test_more_than_a_frame_can_hold() -> None:
    class Long(bytes):
        def __len__(self) -> int:
            return 2**32

    with pytest.raises(TooLarge, match="4 GiB"):
        pack(Kind.CALL, 1, b"", [Long()])
