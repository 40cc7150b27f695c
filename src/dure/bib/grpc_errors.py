"""Errors of a call, as statuses of gRPC: dure's own in its own words, others with their type."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

from dure.errors import DureError
from dure.gateway.grpc_call import abort
from dure.log import get_logger

Request = TypeVar("Request")
Response = TypeVar("Response")
_Answers = Callable[[Any, Request, Any], Awaitable[Response]]
_Streams = Callable[[Any, Request, Any], AsyncIterator[Response]]


def answering(method: _Answers[Request, Response]) -> _Answers[Request, Response]:
    """Have a method that answers once tell what it raises."""

    @wraps(method)
    async def call(self: Any, request: Request, context: Any) -> Response:
        try:
            return await method(self, request, context)
        except Exception as error:  # noqa: BLE001  (a model's own, for one)
            await abort(context, _told(error))

    return call


def streaming(method: _Streams[Request, Response]) -> _Streams[Request, Response]:
    """Have a method that answers with a stream tell what it raises."""

    @wraps(method)
    async def call(self: Any, request: Request, context: Any) -> AsyncIterator[Response]:
        try:
            async for response in method(self, request, context):
                yield response
        except Exception as error:  # noqa: BLE001
            await abort(context, _told(error))

    return call


def _told(error: Exception) -> DureError:
    if isinstance(error, DureError):
        return error
    get_logger("bib").exception("a call failed")
    return DureError(f"{type(error).__qualname__}: {error}")
