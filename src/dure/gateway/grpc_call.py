"""One call over gRPC: a request on its way, withdrawn when its client goes away, and errors as statuses.

Whatever the service. Knows nothing of messages.
"""

import asyncio
from typing import Any, NoReturn

import grpc
import msgspec

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
    metadata = (("dure-error-bin", msgspec.json.encode(fields)),)
    await context.abort(grpc.StatusCode[error.grpc_status], fields["message"], metadata)
    raise error  # never reached: the line above does not return


def _shortened(value: Any) -> Any:
    data = value.encode() if isinstance(value, str) else b""
    if len(data) <= _MAX_FIELD_BYTES:
        return value
    head, tail = data[: _MAX_FIELD_BYTES // 4], data[-_MAX_FIELD_BYTES * 3 // 4 :]
    return f"{head.decode(errors='ignore')} … {tail.decode(errors='ignore')}"
