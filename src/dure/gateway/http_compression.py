"""Which answers are compressed over HTTP, and how: where the client accepts it and it pays.

Libraries accept gzip with every request, unasked. So answers of text are compressed for them, and packed numbers, which
hardly shrink, only in the way of Triton's clients: who wants it names one encoding alone. Knows nothing of routes.
"""

import asyncio
import zlib
from functools import lru_cache

LEAST_BYTES = 1024
"""Of an answer; a shorter one fits in a packet or two anyway."""

_LARGE_BYTES = 64 * 1024  # compressed in a thread, as it takes the time of several requests
_SAMPLE_BYTES = 1024
_MOST = 0.7  # of its length is what a text may have left; numbers in base64 keep three quarters
_LEVEL = 1  # the higher ones take two to ten times as long for a tenth less
_TEXTS = (b"text/", b"application/json")


def is_text(content_type: bytes) -> bool:
    """Return whether answers of this type are compressed for everybody who accepts it."""
    return content_type.startswith(_TEXTS)


@lru_cache(maxsize=256)
def listed(accepted: bytes) -> bytes | None:
    """Return gzip if `Accept-Encoding` allows it, and does not like the plain answer better."""
    shares: dict[bytes, float] = {}
    for part in accepted.lower().split(b","):
        name, _, rest = part.partition(b";")
        shares[name.strip()] = _share(rest)
    wanted = shares.get(b"gzip", shares.get(b"x-gzip", shares.get(b"*", 0.0)))
    return b"gzip" if wanted > 0 and wanted >= shares.get(b"identity", 0.0) else None


def alone(accepted: bytes) -> bytes | None:
    """Return the encoding that `Accept-Encoding` names alone, if it is one that is written here."""
    wanted = accepted.strip().lower()
    return wanted if wanted in (b"gzip", b"deflate") else None


async def compressed(body: bytes, encoding: bytes, *, always: bool) -> bytes | None:
    """Return an answer compressed.

    Args:
        body: At least `LEAST_BYTES`.
        encoding: gzip or deflate.
        always: Whether even if it hardly shrinks; otherwise None is returned then.
    """
    if not always and len(zlib.compress(body[:_SAMPLE_BYTES], _LEVEL)) > _MOST * _SAMPLE_BYTES:
        return None
    if len(body) > _LARGE_BYTES:
        return await asyncio.to_thread(_compressed, body, encoding)
    return _compressed(body, encoding)


def _share(rest: bytes) -> float:
    name, _, value = rest.partition(b"=")
    if name.strip() != b"q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _compressed(body: bytes, encoding: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, wbits=zlib.MAX_WBITS | (16 if encoding == b"gzip" else 0))
    return packer.compress(body) + packer.flush()
