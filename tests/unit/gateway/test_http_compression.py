import gzip
import random
import zlib
from collections.abc import Callable

import pytest

from dure.gateway.http_compression import LEAST_BYTES, alone, compressed, is_text, listed

TEXT = b"many hands " * LEAST_BYTES
NOISE = random.Random(0).randbytes(LEAST_BYTES)


@pytest.mark.parametrize(("encoding", "unpack"), [(b"gzip", gzip.decompress), (b"deflate", zlib.decompress)])
@pytest.mark.parametrize("times", [1, 10])
async def test_there_and_back(encoding: bytes, unpack: Callable[[bytes], bytes], times: int) -> None:
    packed = await compressed(TEXT * times, encoding, always=False)
    assert packed is not None
    assert len(packed) < len(TEXT) / 2
    assert unpack(packed) == TEXT * times


async def test_what_hardly_shrinks_is_left_unless_it_was_asked_for_in_so_many_words() -> None:
    assert await compressed(NOISE, b"gzip", always=False) is None
    packed = await compressed(NOISE, b"gzip", always=True)
    assert packed is not None
    assert gzip.decompress(packed) == NOISE


def test_what_is_a_text() -> None:
    kinds = [b"application/json", b"text/html; charset=utf-8", b"application/octet-stream", b"image/png"]
    assert [is_text(kind) for kind in kinds] == [True, True, False, False]


@pytest.mark.parametrize(
    "accepted", [b"", b",;,", b"gzip;q=", b"gzip;q=nan", b"gzip;q=-1", b"gzip;level=1;q=0", b"*;q=0", b"\xff"]
)
def test_odd_headers_are_read_without_an_error(accepted: bytes) -> None:
    assert listed(accepted) in (None, b"gzip")
    assert alone(accepted) is None


def test_one_alone() -> None:
    assert [alone(name) for name in (b" GZIP ", b"deflate", b"gzip, deflate", b"br")] == [
        b"gzip",
        b"deflate",
        None,
        None,
    ]
