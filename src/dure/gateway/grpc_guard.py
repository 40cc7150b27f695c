"""The guard before the gRPC door: key and limits, for every method of every service on the port.

No host or origin is looked at: a browser's page cannot speak gRPC. Knows no methods but by what they ask for.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError as ProtobufError

from dure.errors import DecodeError, DureError
from dure.gateway import rules
from dure.gateway.grpc_call import abort
from dure.gateway.guard import Guard
from dure.gateway.shared_port import clients
from dure.gateway.visit import VISIT, Arrival, Visit

_BEARER = "bearer "


class GrpcGuard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Lets calls through to their methods.

    Args:
        guard: Who is let in.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """Return what answers a call: the method, with the guard before it."""
        method: str = handler_call_details.method
        handler = await continuation(handler_call_details)
        if handler is None:
            return None  # there is no such method
        need = rules.of_grpc(method)
        key = _key_of(handler_call_details.invocation_metadata)
        is_stream = bool(handler.request_streaming)

        async def enter(context: Any) -> Visit:
            try:
                visit = self._guard.admit(need, Arrival("grpc", method, _address_of(context.peer()), key, is_stream))
            except DureError as error:
                await abort(context, error)
            VISIT.set(visit)
            return visit

        return _guarded(handler, enter)


def _guarded(handler: Any, enter: Callable[[Any], Awaitable[Visit]]) -> Any:
    kind = f"{'stream' if handler.request_streaming else 'unary'}_{'stream' if handler.response_streaming else 'unary'}"
    method: Any = getattr(handler, kind)
    read = _all_read if handler.request_streaming else _read

    async def answer(request: Any, context: Any) -> Any:
        visit = await enter(context)
        try:
            return await method(read(request), context)
        except DureError as error:
            await abort(context, error)
        finally:
            visit.release()

    async def answer_all(request: Any, context: Any) -> AsyncIterator[Any]:
        visit = await enter(context)
        try:
            async for one in method(read(request), context):
                yield one
        except DureError as error:
            await abort(context, error)
        finally:
            visit.release()

    wrap = getattr(grpc, f"{kind}_rpc_method_handler")
    behaviour = answer_all if inspect.isasyncgenfunction(method) else answer
    return wrap(behaviour, _careful(handler.request_deserializer), handler.response_serializer)


def _careful(read: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """Return a deserialiser that returns its error: of one that it raises, gRPC makes a fault of the service."""
    if read is None:
        return None

    def careful(data: bytes) -> Any:
        try:
            return read(data)
        except ProtobufError as error:
            return DecodeError(f"the message cannot be read: {error}")

    return careful


def _read(message: Any) -> Any:
    if isinstance(message, DecodeError):
        raise message
    return message


async def _all_read(messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for message in messages:
        yield _read(message)


def _key_of(metadata: Any) -> bytes | None:
    for name, value in metadata or ():
        if name in ("authorization", "x-api-key"):
            text = str(value)
            return (text[len(_BEARER) :] if text.lower().startswith(_BEARER) else text).strip().encode()
    return None


def _address_of(peer: str) -> str:
    """Return the address in `ipv4:127.0.0.1:5000` or `ipv6:%5B::1%5D:5000`; on a shared port, that of the client."""
    kind, _, rest = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return peer
    host, _, port = rest.rpartition(":")
    own = clients.get(int(port)) if host == "127.0.0.1" else None
    return own or host.strip("[]")
