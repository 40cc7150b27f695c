"""The public gRPC door: service `dure.v1.Flow`, with health and reflection.

Parses and renders envelopes; the documents in them stay bytes and are decoded by the worker. Answers are rendered as
several in one message when several are ready, since a message costs more than what is in it.
"""

import asyncio
from collections.abc import AsyncIterator
from math import ceil
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from dure.document import dure_pb2 as pb
from dure.document.oip_messages import SERVICE as OIP_SERVICE
from dure.errors import DureError, ReplicaUnavailable
from dure.gateway.description import description_of
from dure.gateway.envelopes import reply_of, request_of, submit_envelope
from dure.gateway.grpc_call import abort, outcome_of
from dure.gateway.grpc_guard import GrpcGuard
from dure.gateway.grpc_reflection import handlers_of
from dure.gateway.guard import Guard
from dure.gateway.oip_grpc import OpenInferenceService
from dure.gateway.router import Router
from dure.gateway.session import Session
from dure.gateway.tls import add_grpc_port
from dure.spec import GatewaySpec
from dure.transport.messages import AGE_KEY, LIMIT_KEY

SERVICE = "dure.v1.Flow"
_MIN_PING_MS = 5000  # clients who look whether the network is still there may ask so often
_MORE_BYTES = 4 * 2**20  # what a message may hold beside the largest request, which is refused by itself


_Session: TypeAlias = Session[pb.ReplyEnvelope]


def _age(seconds: float | None) -> list[tuple[str, int]]:
    """Return after how long a client is told to go away; calls that it has begun may finish, however long they take."""
    return [] if seconds is None else [("grpc.max_connection_age_ms", ceil(seconds * 1000))]


class GrpcFront:
    """Listens on the public port.

    Args:
        router: Where requests go.
        guard: Who is let in.
        spec: Address and limits.
        port: Port to listen on; 0 takes a free one.
    """

    def __init__(self, router: Router, guard: Guard, spec: GatewaySpec, port: int) -> None:
        self._router = router
        self._spec = spec
        self._health: Any = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs lack it
        self._server = grpc.aio.server(
            interceptors=[GrpcGuard(guard)],
            options=[
                ("grpc.max_receive_message_length", spec.max_request_bytes + _MORE_BYTES),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", int(spec.reuse_port)),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", _MIN_PING_MS),
                *_age(spec.max_connection_age_s),
            ],
        )
        self._sessions: set[Session[Any]] = set()
        self._terms = [(LIMIT_KEY, str(spec.max_request_bytes))]
        if spec.max_connection_age_s is not None:
            self._terms.append((AGE_KEY, str(spec.max_connection_age_s)))
        self.port = port

    async def open(self) -> None:
        """Listen.

        Raises:
            StartFailed: The address is taken or not this machine's.
            SpecError: A certificate or key that cannot be used.
        """
        handlers = {
            "Post": grpc.unary_unary_rpc_method_handler(
                self._post, pb.RequestEnvelope.FromString, pb.ReplyEnvelope.SerializeToString
            ),
            "Stream": grpc.stream_stream_rpc_method_handler(
                self._stream, pb.RequestsEnvelope.FromString, pb.RepliesEnvelope.SerializeToString
            ),
            "Describe": grpc.unary_unary_rpc_method_handler(
                self._describe, pb.DescribeRequest.FromString, pb.Description.SerializeToString
            ),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        tensors = OpenInferenceService(self._router, self._spec, self._sessions)
        self._server.add_generic_rpc_handlers((tensors.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._server.add_generic_rpc_handlers(handlers_of((SERVICE, OIP_SERVICE, health.SERVICE_NAME)))
        self.port = add_grpc_port(self._server, self._spec, self.port)
        await self._server.start()

    async def set_serving(self, serving: bool) -> None:
        """Tell health checks whether every Executor has a replica."""
        status = health_pb2.HealthCheckResponse
        for name in ("", SERVICE):
            await self._health.set(name, status.SERVING if serving else status.NOT_SERVING)

    async def close(self, grace_s: float) -> None:
        """Refuse new calls, let those on their way finish; streams end when all of their requests are answered."""
        await self.set_serving(serving=False)
        for session in self._sessions:
            session.finish()
        await self._server.stop(grace_s)

    async def _post(self, envelope: pb.RequestEnvelope, context: Any) -> pb.ReplyEnvelope:
        try:
            outcome = await outcome_of(self._router, request_of(envelope, self._spec.max_request_bytes), context)
        except DureError as error:
            await abort(context, error)
        return reply_of(envelope.id, outcome, explain=envelope.explain)

    async def _describe(self, _: pb.DescribeRequest, context: Any) -> pb.Description:
        if not self._router.available:
            await abort(context, ReplicaUnavailable("not every Executor of this Flow has a replica yet; ask again"))
        names = self._router.endpoints()
        told = [(name, description_of(self._router, name)) for name in names]
        return pb.Description(
            endpoints=[pb.Endpoint(name=name, streaming=one.streaming, description=one.text) for name, one in told]
        )

    async def _stream(self, requests: AsyncIterator[pb.RequestsEnvelope], context: Any) -> None:
        session: _Session = Session(self._router, self._spec)
        self._sessions.add(session)
        await context.send_initial_metadata(self._terms)
        reader = asyncio.get_running_loop().create_task(self._read(session, requests))
        try:
            while replies := await session.next_replies():
                await context.write(pb.RepliesEnvelope(replies=replies))
            if reader.done():
                reader.result()  # raises what went wrong in it
        finally:
            self._sessions.discard(session)
            reader.cancel()
            session.withdraw_all()

    async def _read(self, session: "_Session", requests: AsyncIterator[pb.RequestsEnvelope]) -> None:
        try:
            async for message in requests:
                for envelope in message.requests:
                    submit_envelope(session, envelope, self._spec.max_request_bytes)
                await session.room()
        finally:
            session.finish()
