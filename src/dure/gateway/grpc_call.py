"""One call over gRPC: a request on its way, withdrawn when its client goes away, and errors as statuses.

Whatever the service. Knows nothing of messages.
"""

import asyncio
from math import ceil
from typing import Any, NoReturn

import grpc
import msgspec
from google.protobuf import any_pb2, duration_pb2

from dure.errors import DureError, to_wire
from dure.gateway.router import Handle, Outcome, Request, Router

_MAX_FIELD_BYTES = 1000  # of an error in a status, which travels as HTTP/2 headers: clients accept 8 KiB of them


async def outcome_of(router: Router, request: Request, context: Any) -> Outcome:
    """Send a request on its way and wait for its answer, no longer than gRPC's own deadline.

    Raises:
        DureError: What it came to instead of an answer.
    """
    done: asyncio.Future[Outcome | DureError] = asyncio.get_running_loop().create_future()
    walk: Handle | None = None
    request.on_done = done.set_result
    request.traceparent = next((value for key, value in context.invocation_metadata() if key == "traceparent"), "")
    remaining_s = context.time_remaining()
    if remaining_s is not None:
        request.timeout_s = min(remaining_s, request.timeout_s or remaining_s)
    try:
        walk = router.submit(request)
        outcome = await done
    except asyncio.CancelledError:
        if walk is not None:
            walk.withdraw()
            router.figures.cancelled()
        raise
    if isinstance(outcome, DureError):
        raise outcome
    return outcome


async def abort(context: Any, error: DureError) -> NoReturn:
    """End a call with the status of an error; all of its fields are in the metadata."""
    fields = {name: _shortened(value) for name, value in to_wire(error).items()}
    metadata = (("dure-error-bin", msgspec.json.encode(fields)), *_retry_of(error, fields["message"]))
    await context.abort(grpc.StatusCode[error.grpc_status], fields["message"], metadata)
    raise error  # never reached: the line above does not return


def _retry_of(error: DureError, message: str) -> list[tuple[str, str | bytes]]:
    """Return after how long it is worth trying again, in milliseconds and as gRPC's clients look for it.

    The message google.rpc.Status, with google.rpc.RetryInfo in it, is few enough fields to be written by hand:
    https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto and error_details.proto.
    """
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is None:
        return []
    delay = duration_pb2.Duration(seconds=int(retry_after_s), nanos=int(retry_after_s % 1 * 1e9)).SerializeToString()
    info = any_pb2.Any(type_url="type.googleapis.com/google.rpc.RetryInfo", value=_field(1, delay)).SerializeToString()
    code: int = grpc.StatusCode[error.grpc_status].value[0]
    status = bytes((1 << 3, code)) + _field(2, message.encode()) + _field(3, info)
    return [("retry-after-ms", str(ceil(retry_after_s * 1000))), ("grpc-status-details-bin", status)]


def _field(number: int, data: bytes) -> bytes:
    length, size = b"", len(data)
    while size > 0x7F:
        length += bytes((size & 0x7F | 0x80,))
        size >>= 7
    return bytes((number << 3 | 2,)) + length + bytes((size,)) + data


def _shortened(value: Any) -> Any:
    data = value.encode() if isinstance(value, str) else b""
    if len(data) <= _MAX_FIELD_BYTES:
        return value
    head, tail = data[: _MAX_FIELD_BYTES // 4], data[-_MAX_FIELD_BYTES * 3 // 4 :]
    return f"{head.decode(errors='ignore')} … {tail.decode(errors='ignore')}"
