"""Calls of a Flow elsewhere over gRPC, many at once, each to whichever of its addresses is there and least busy.

gRPC itself looks up names, connects again, asks each gateway for its health and sends nothing to one that is not
serving; a call that was sent is never sent a second time.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc
import msgspec

from dure.client.exchange import Incoming
from dure.client.grpc_messages import OPTIONS, SERVICE, Access, envelope_of, failure_of, incoming_of
from dure.client.native import MAX_FRAME_BYTES, Target
from dure.document import dure_pb2 as pb
from dure.document.array import DocumentArray
from dure.errors import ConnectionLost, DureError, ReplicaUnavailable

_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],  # over all addresses that a name has
    "healthCheckConfig": {"serviceName": ""},
}
_OPTIONS = [
    *OPTIONS,
    ("grpc.service_config", msgspec.json.encode(_SERVICE_CONFIG).decode()),
    ("grpc.enable_retries", 0),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A network that was cut says nothing: whoever does not answer a ping is gone.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
]
_CONNECT_S = 5.0
_RETRY_S = 0.25


class _Route:
    """One address, and how many calls are on their way to it."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.num_calls = 0
        self.channel = access.channel(grpc.aio, _OPTIONS)
        self.post: Any = self.channel.unary_unary(
            f"{SERVICE}/Post", pb.RequestEnvelope.SerializeToString, pb.ReplyEnvelope.FromString
        )
        self.stream: Any = self.channel.stream_stream(
            f"{SERVICE}/Stream", pb.RequestsEnvelope.SerializeToString, pb.RepliesEnvelope.FromString
        )

    @property
    def is_ready(self) -> bool:
        return bool(self.channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY)


class GrpcCalls:
    """Calls on the running event loop.

    Args:
        accesses: Where the Flow is, all addresses that are as good as each other, and how it is to be spoken to.
    """

    def __init__(self, accesses: Sequence[Access]) -> None:
        self._routes = [_Route(access) for access in accesses]

    async def call(self, target: Target, documents: DocumentArray) -> Incoming:
        """Send one request and return its answer.

        Raises:
            ReplicaUnavailable: None of the addresses is there; nothing was sent.
            ConnectionLost: It was sent, and whoever had it went away: it may or may not have been done.
            DureError: What the Flow answered instead.
        """
        envelope, _ = envelope_of(0, target, documents, MAX_FRAME_BYTES)
        route = await self._route()
        route.num_calls += 1
        try:
            return incoming_of(await route.post(envelope, metadata=route.access.metadata))
        except grpc.RpcError as error:
            raise failure_of(error, route.access.address) from error
        finally:
            route.num_calls -= 1

    async def parts(self, target: Target, documents: DocumentArray) -> AsyncIterator[Incoming]:
        """Send one request and yield the parts of its answer as they come; the last of them is `final`.

        Raises:
            DureError: As `call`.
        """
        envelope, _ = envelope_of(0, target, documents, MAX_FRAME_BYTES)
        route = await self._route()
        route.num_calls += 1
        stream = route.stream(metadata=route.access.metadata)
        try:
            await stream.write(pb.RequestsEnvelope(requests=[envelope]))
            await stream.done_writing()
            async for message in stream:
                for reply in message.replies:
                    incoming = incoming_of(reply)
                    if incoming.error is not None:
                        raise incoming.error
                    yield incoming
        except grpc.RpcError as error:
            raise failure_of(error, route.access.address) from error
        finally:
            stream.cancel()
            route.num_calls -= 1

    async def _route(self) -> _Route:
        """Return where the next call goes: of those who are there, the one with the fewest on their way."""
        deadline = time.monotonic() + _CONNECT_S
        while not (ready := [route for route in self._routes if route.is_ready]):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                names = ", ".join(route.access.address for route in self._routes)
                raise ReplicaUnavailable(f"no Flow is ready at {names}; nothing was sent")
            changes = [
                asyncio.ensure_future(route.channel.wait_for_state_change(route.channel.get_state()))
                for route in self._routes
            ]
            try:
                await asyncio.wait(changes, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for change in changes:
                    change.cancel()
        return min(ready, key=lambda route: route.num_calls)


def describe(accesses: Sequence[Access], on_wait: Callable[[DureError], None]) -> list[pb.Endpoint]:
    """Return the endpoints of the Flow that is at these addresses, as soon as one of them is ready.

    Args:
        accesses: As for `GrpcCalls`.
        on_wait: Called once with the error, if none is ready yet; it is waited for as long as it takes.

    Raises:
        DureError: The Flow does not let in, or speaks no such protocol.
    """
    told = False
    while True:
        for access in accesses:
            try:
                return _described(access)
            except (ConnectionLost, ReplicaUnavailable) as error:
                if not told:
                    on_wait(error)
                told = True
        time.sleep(_RETRY_S)


def _described(access: Access) -> list[pb.Endpoint]:
    with access.channel(grpc, OPTIONS) as channel:
        ask = channel.unary_unary(
            f"{SERVICE}/Describe", pb.DescribeRequest.SerializeToString, pb.Description.FromString
        )
        try:
            return list(ask(pb.DescribeRequest(), metadata=access.metadata, timeout=_CONNECT_S).endpoints)
        except grpc.RpcError as error:
            raise failure_of(error, access.address) from error
