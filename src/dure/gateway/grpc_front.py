"""The public gRPC door: service `dure.v1.Flow`, with health and reflection.

Parses and renders envelopes; the documents in them stay bytes and are decoded by the worker. Answers are rendered as
several in one message when several are ready, since a message costs more than what is in it.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import msgspec
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from dure.document import dure_pb2 as pb
from dure.document.forms import PROTOBUF
from dure.errors import DecodeError, DureError, StartFailed, to_wire
from dure.gateway.job import Answer
from dure.gateway.router import Outcome, Request, Router, Walk
from dure.spec import GatewaySpec

SERVICE = "dure.v1.Flow"
_MAX_MESSAGE_BYTES = 4 * 2**20


class GrpcFront:
    """Listens on the public port.

    Args:
        router: Where requests go.
        spec: Address and limits.
    """

    def __init__(self, router: Router, spec: GatewaySpec) -> None:
        self._router = router
        self._spec = spec
        self._health: Any = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs lack it
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", spec.max_request_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
            ]
        )
        self.port = 0

    async def open(self) -> None:
        """Listen.

        Raises:
            StartFailed: The address is taken or not this machine's.
        """
        handlers = {
            "Post": grpc.unary_unary_rpc_method_handler(
                self._post, pb.RequestEnvelope.FromString, pb.ReplyEnvelope.SerializeToString
            ),
            "Stream": grpc.stream_stream_rpc_method_handler(
                self._stream, pb.RequestsEnvelope.FromString, pb.RepliesEnvelope.SerializeToString
            ),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        address = f"{self._spec.host}:{self._spec.port}"
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise StartFailed(f"{address} cannot be listened on (is the port taken?): {error}") from error
        await self._server.start()

    async def set_serving(self, serving: bool) -> None:
        """Tell health checks whether every Executor has a replica."""
        status = health_pb2.HealthCheckResponse
        for name in ("", SERVICE):
            await self._health.set(name, status.SERVING if serving else status.NOT_SERVING)

    async def close(self, grace_s: float) -> None:
        """Refuse new calls, let those on their way finish."""
        await self.set_serving(serving=False)
        await self._server.stop(grace_s)

    async def _post(self, envelope: pb.RequestEnvelope, context: Any) -> pb.ReplyEnvelope:
        done: asyncio.Future[Outcome | DureError] = asyncio.get_running_loop().create_future()
        walk: Walk | None = None
        try:
            request = _request(envelope, lambda _: None, done.set_result)
            walk = self._router.submit(request)
            outcome = await done
        except DecodeError as error:
            outcome = error
        except asyncio.CancelledError:
            if walk is not None:
                walk.withdraw()
            raise
        if isinstance(outcome, DureError):
            fields = msgspec.json.encode(to_wire(outcome))
            await context.abort(
                grpc.StatusCode[outcome.grpc_status], str(outcome), (("dure-error-bin", fields[:7000]),)
            )
        return _reply(envelope.id, outcome)

    async def _stream(self, requests: AsyncIterator[pb.RequestsEnvelope], context: Any) -> None:
        session = _Session(self._router, self._spec)
        reader = asyncio.get_running_loop().create_task(session.read(requests))
        try:
            while (replies := await session.next_replies()) is not None:
                await context.write(replies)
            await reader
        finally:
            reader.cancel()
            session.withdraw()


class _Session:
    """One client's stream: its requests on their way, and the answers waiting to be written."""

    def __init__(self, router: Router, spec: GatewaySpec) -> None:
        self._router = router
        self._spec = spec
        self._walks: dict[int, Walk | None] = {}
        self._sizes: dict[int, int] = {}
        self._queued_bytes = 0
        self._ready: list[pb.ReplyEnvelope] = []
        self._ended = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def read(self, requests: AsyncIterator[pb.RequestsEnvelope]) -> None:
        try:
            async for message in requests:
                for envelope in message.requests:
                    self._submit(envelope)
                await self._room.wait()
        finally:
            self._ended = True
            self._changed.set()

    async def next_replies(self) -> pb.RepliesEnvelope | None:
        """Wait for answers; return those that are ready, or None when all requests are answered."""
        while not self._ready:
            if self._ended and not self._walks:
                return None
            self._changed.clear()
            await self._changed.wait()
        size, count = 0, 0
        for reply in self._ready:
            size += len(reply.documents)
            count += 1
            if size > _MAX_MESSAGE_BYTES:
                break
        taken = self._ready[:count]
        del self._ready[:count]
        return pb.RepliesEnvelope(replies=taken)

    def withdraw(self) -> None:
        for walk in self._walks.values():
            if walk is not None:
                walk.withdraw()

    def _submit(self, envelope: pb.RequestEnvelope) -> None:
        number = envelope.id

        def done(outcome: Outcome | DureError) -> None:
            self._walks.pop(number, None)
            self._queued_bytes -= self._sizes.pop(number, 0)
            if self._queued_bytes <= self._spec.max_queued_bytes and len(self._walks) <= self._spec.max_queued:
                self._room.set()
            self._tell(_reply(number, outcome))

        def part(answer: Answer) -> None:
            self._tell(pb.ReplyEnvelope(id=number, documents=bytes(answer.payload), part=True))

        try:
            if number in self._walks:
                raise DecodeError(f"request id {number} is in use on this stream")
            request = _request(envelope, part, done)
        except DecodeError as error:
            self._tell(_reply(number, error))
            return
        self._sizes[number] = len(envelope.documents)
        self._queued_bytes += len(envelope.documents)
        self._walks[number] = None
        walk = self._router.submit(request)
        if number in self._walks:
            self._walks[number] = walk
        if self._queued_bytes > self._spec.max_queued_bytes or len(self._walks) > self._spec.max_queued:
            self._room.clear()

    def _tell(self, reply: pb.ReplyEnvelope) -> None:
        self._ready.append(reply)
        self._changed.set()


def _request(envelope: pb.RequestEnvelope, on_part: Any, on_done: Any) -> Request:
    parameters = b""
    if envelope.parameters_json:
        try:
            values = msgspec.json.decode(envelope.parameters_json)
        except msgspec.DecodeError as error:
            raise DecodeError(f"parameters_json is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise DecodeError(f"parameters_json must be an object, not {envelope.parameters_json!r:.60}")
        parameters = msgspec.msgpack.encode(values) if values else b""
    rows = pb.DocumentsHead.FromString(envelope.documents).rows
    return Request(envelope.endpoint, parameters, PROTOBUF, rows, envelope.documents, envelope.parts, on_part, on_done)


def _reply(number: int, outcome: Outcome | DureError) -> pb.ReplyEnvelope:
    if isinstance(outcome, DureError):
        fields = to_wire(outcome)
        error = pb.Error(code=fields.pop("code"), message=str(fields.pop("message")))
        error.fields_json = msgspec.json.encode(fields).decode()
        return pb.ReplyEnvelope(id=number, error=error)
    results = {
        name: msgspec.json.encode(msgspec.msgpack.decode(data)).decode() for name, data in outcome.results.items()
    }
    return pb.ReplyEnvelope(id=number, documents=bytes(outcome.payload), results_json=results)
