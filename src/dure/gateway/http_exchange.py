"""One HTTP request and its answer, over ASGI: reads a body within bounds, writes answers and errors.

Knows nothing of routes and documents.
"""

import zlib
from collections.abc import Callable, Iterable
from math import ceil
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from dure.errors import DecodeError, DureError, TooLarge, to_wire
from dure.gateway.http_compression import LEAST_BYTES, alone, compressed, is_text, listed

if TYPE_CHECKING:
    import asyncio

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]

JSON = b"application/json"
_VARY = (b"vary", b"accept-encoding")
_PRIVATE = frozenset(("code", "message", "remote_traceback"))


class Exchange:
    """A request that waits for its answer.

    Args:
        scope: ASGI's description of the request.
        receive: Gives pieces of its body.
        send: Takes the answer.

    Attributes:
        method: In capitals.
        path: Decoded once.
        headers: Name in lower case -> value; of several of one name the last.
        started: Whether an answer has been begun.
        takes_lists: Whether an encoding in a list of several is one that the client wants; else it names one alone.
    """

    __slots__ = ("_receive", "_send", "headers", "method", "path", "scope", "started", "takes_lists")

    def __init__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.started = False
        self.takes_lists = True

    async def body(self, max_bytes: int) -> bytes:
        """Read the whole body, decompressed where it is gzip or deflate.

        Raises:
            TooLarge: It is longer than that, packed or unpacked.
            DecodeError: An unknown or broken compression, or the client went away in the middle.
        """
        declared = self.headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > max_bytes:
            raise _too_large(int(declared), max_bytes)
        message = await self._receive()
        if not message.get("more_body"):
            body: bytes = message.get("body", b"")
        else:
            pieces, size = [message["body"]], len(message["body"])
            while message.get("more_body"):
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    raise DecodeError("the client went away before it had sent all of its request")
                pieces.append(message["body"])
                size += len(message["body"])
                if size > max_bytes:
                    raise _too_large(size, max_bytes)
            body = b"".join(pieces)
        if len(body) > max_bytes:
            raise _too_large(len(body), max_bytes)
        encoding = self.headers.get(b"content-encoding")
        return body if encoding is None else _unpacked(body, encoding.strip().lower(), max_bytes)

    def future(self) -> "asyncio.Future[Any]":
        """Return a future of the loop on which this is answered."""
        # The connection knows it; to ask for the running loop costs a call of the system.
        made: asyncio.Future[Any] = self.scope["dure.connection"].loop.create_future()
        return made

    def on_lost(self, withdraw: Callable[[], None] | None) -> None:
        """Say what is to be done when the client goes away before it is answered."""
        self.scope["dure.connection"].on_lost = withdraw

    async def answer(
        self, body: bytes, *, status: int = 200, content_type: bytes = JSON, headers: Headers = ()
    ) -> None:
        """Send a whole answer, compressed where the client accepts it and it pays."""
        self.started = True
        fields = [(b"content-type", content_type), *headers]
        if len(body) >= LEAST_BYTES:
            body = await self._compressed(body, content_type, fields)
        fields.append((b"content-length", str(len(body)).encode()))
        corked = self.scope["dure.connection"].corked
        corked.cork()
        try:
            await self._send({"type": "http.response.start", "status": status, "headers": fields})
            await self._send({"type": "http.response.body", "body": body})
        finally:
            corked.uncork()

    async def _compressed(self, body: bytes, content_type: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
        if self.takes_lists and not is_text(content_type):
            return body
        fields.append(_VARY)
        accepted = self.headers.get(b"accept-encoding")
        if accepted is None:
            return body
        encoding = listed(accepted) if self.takes_lists else alone(accepted)
        if encoding is None:
            return body
        packed = await compressed(body, encoding, always=not self.takes_lists)
        if packed is None:
            return body
        fields.append((b"content-encoding", encoding))
        return packed

    async def begin(self, content_type: bytes, headers: Headers = ()) -> None:
        """Begin an answer that is sent in pieces."""
        self.started = True
        fields = [(b"content-type", content_type), *headers]
        await self._send({"type": "http.response.start", "status": 200, "headers": fields})

    async def piece(self, data: bytes, *, last: bool = False) -> None:
        """Send a piece; returns when the client has room for more."""
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})


def error_body(error: DureError) -> dict[str, Any]:
    """Return what strangers are told of an error: all but the traceback, which shows the inside of the service."""
    fields = to_wire(error)
    rest = {name: value for name, value in fields.items() if name not in _PRIVATE}
    return {"code": fields["code"], "message": str(fields["message"]), **rest}


def error_headers(error: DureError) -> list[tuple[bytes, bytes]]:
    """Return the headers of an error: after how many seconds it is worth trying again, where that is known."""
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is None:
        return []
    return [
        (b"retry-after", str(ceil(retry_after_s)).encode()),
        (b"retry-after-ms", str(ceil(retry_after_s * 1000)).encode()),
    ]


def to_json(value: Any) -> bytes:
    """Return plain values as JSON."""
    return msgspec.json.encode(value)


def _too_large(size: int, max_bytes: int) -> TooLarge:
    return TooLarge(
        f"a request of {size:,} bytes is larger than this Flow accepts (max_request_bytes={max_bytes:,});"
        " send fewer documents a request, or raise the limit"
    )


def _unpacked(body: bytes, encoding: bytes, max_bytes: int) -> bytes:
    if encoding == b"identity":
        return body
    if encoding not in (b"gzip", b"deflate"):
        raise DecodeError(f"Content-Encoding {encoding.decode('latin-1')!r:.40} is not read here; gzip and deflate are")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | (16 if encoding == b"gzip" else 0))
    try:
        data = unpacker.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise DecodeError(f"the body is not {encoding.decode()}: {error}") from error
    if len(data) > max_bytes:
        raise _too_large(len(data), max_bytes)
    if not unpacker.eof:
        raise DecodeError(f"the {encoding.decode()} body ends too soon")
    return data
