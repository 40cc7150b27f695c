"""The public gRPC interface, caller's end: for Flows on other machines, and where a proxy stands between.

Requests that wait to be written go out as one message. The same words and the same behaviour as our own channel.
"""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import msgspec
from msgspec import Struct

from dure.client.exchange import Incoming
from dure.client.native import MAX_FRAME_BYTES, Target, check_size
from dure.document import dure_pb2 as pb
from dure.document import plain, protobuf
from dure.document.array import DocumentArray
from dure.errors import ConnectionLost, DureError, SpecError, TooLarge, from_wire
from dure.served import Served
from dure.spec import ClientSpec
from dure.transport.messages import AGE_KEY, LIMIT_KEY

_METHOD = "/dure.v1.Flow/Stream"
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # else a Flow that was not there a moment ago is not looked for again
]
_MAX_MESSAGE_BYTES = 1 * 2**20
_MAX_ARRIVED = 8  # messages; while as many wait to be taken, no more are read


def _envelope(number: int, target: Target, documents: DocumentArray, limit: int) -> tuple[pb.RequestEnvelope, int]:
    data = protobuf.encode(documents)
    check_size(len(documents), len(data) + len(target.parameters), limit)
    parameters = ""
    if target.parameters:
        parameters = plain.to_json(msgspec.msgpack.decode(target.parameters), "parameters")
    envelope = pb.RequestEnvelope(
        id=number,
        endpoint=target.endpoint,
        parameters_json=parameters,
        documents=data,
        parts=target.stream,
        timeout_s=target.timeout_s,
        priority=target.priority,
        explain=target.explain,
    )
    return envelope, len(data)


def _incoming(reply: pb.ReplyEnvelope) -> Incoming:
    if reply.HasField("error"):
        fields = msgspec.json.decode(reply.error.fields_json or "{}")
        error = from_wire({**fields, "code": reply.error.code, "message": reply.error.message})
        return Incoming(reply.id, error=error)
    results = {name: msgspec.msgpack.encode(msgspec.json.decode(text)) for name, text in reply.results_json.items()}
    served = {name: _served(told) for name, told in reply.served.items()}
    return Incoming(reply.id, protobuf.decode(reply.documents), results=results, served=served, final=not reply.part)


def _served(told: pb.Served) -> Served:
    return Served(**{name: getattr(told, name) for name in Served.__struct_fields__})


class _Terms:
    """What the gateway says when a stream begins: how large a request may be, and for how long the stream is good."""

    def __init__(self, metadata: Any) -> None:
        told = dict(metadata or ())
        self.max_request_bytes = int(told.get(LIMIT_KEY, MAX_FRAME_BYTES))
        self._until = monotonic() + float(told.get(AGE_KEY, inf))

    @property
    def are_good(self) -> bool:
        """Whether another request may be sent; if not, it is time to connect again, perhaps to another gateway."""
        return monotonic() < self._until


class Access(Struct, frozen=True):
    """Where a Flow is, and how it is to be spoken to: `tls` by gRPC's credentials, `metadata` with the API key."""

    address: str
    tls: Any = None
    metadata: tuple[tuple[str, str], ...] = ()


def access_of(address: str, spec: ClientSpec) -> Access:
    """Return how a Flow is to be spoken to.

    Raises:
        SpecError: A file of `tls_ca`, `tls_cert`, `tls_key` that cannot be read.
    """
    metadata = () if spec.key is None else (("authorization", f"Bearer {spec.key}"),)
    if not spec.is_encrypted:
        return Access(address, None, metadata)
    try:
        files = [
            None if name is None else Path(name).read_bytes() for name in (spec.tls_ca, spec.tls_key, spec.tls_cert)
        ]
    except OSError as error:
        raise SpecError(f"Client.tls_ca, tls_cert, tls_key: {error}") from error
    return Access(address, grpc.ssl_channel_credentials(*files), metadata)


def _failure(error: grpc.RpcError, address: str) -> DureError:
    status = error.code()
    metadata: Any = error.trailing_metadata() or ()
    told = dict(metadata).get("dure-error-bin")
    if told is not None:
        return from_wire(msgspec.json.decode(told))
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return TooLarge(f"the Flow at {address} refused a message: {error.details()} (max_request_bytes)")
    return ConnectionLost(f"the Flow at {address} cannot be reached, or went away: {status.name}: {error.details()}")


class GrpcChannel:
    """A blocking connection: requests go through a queue, answers come through another, filled by a thread.

    Args:
        access: Where it is, and how it is to be spoken to.

    Raises:
        ConnectionLost: Nobody listens there.
    """

    def __init__(self, access: Access) -> None:
        self._address = access.address
        if access.tls is None:
            self._channel = grpc.insecure_channel(access.address, options=_OPTIONS)
        else:
            self._channel = grpc.secure_channel(access.address, access.tls, options=_OPTIONS)
        self._outgoing: queue.SimpleQueue[pb.RequestEnvelope | None] = queue.SimpleQueue()
        self._arrived: queue.SimpleQueue[pb.RepliesEnvelope | DureError] = queue.SimpleQueue()
        stream = self._channel.stream_stream(
            _METHOD, pb.RequestsEnvelope.SerializeToString, pb.RepliesEnvelope.FromString
        )
        self._call: Any = stream(_merged(self._outgoing), metadata=access.metadata)
        self._room = threading.Semaphore(_MAX_ARRIVED)
        threading.Thread(target=self._read, daemon=True).start()
        self._terms = _Terms(self._call.initial_metadata())
        if not self._call.is_active():
            self.close()
            self.receive()  # raises why

    def call(self, number: int, target: Target, documents: DocumentArray) -> int:
        """Send one request, as `NativeChannel.call`."""
        envelope, size = _envelope(number, target, documents, self._terms.max_request_bytes)
        self._outgoing.put(envelope)
        return size

    def poll(self) -> list[Incoming]:
        """Return what has arrived, without waiting."""
        return [] if self._arrived.empty() else self.receive()

    def receive(self) -> list[Incoming]:
        """Wait until something has arrived; return it.

        Raises:
            ConnectionLost: The Flow cannot be reached or went away.
        """
        message = self._arrived.get()
        if isinstance(message, DureError):
            raise message
        self._room.release()
        return [_incoming(reply) for reply in message.replies]

    @property
    def is_open(self) -> bool:
        """Whether the Flow is still at the other end and takes more; asked while nothing is under way."""
        return self._terms.are_good and bool(self._call.is_active())

    def close(self) -> None:
        """Close the connection; what is under way is withdrawn."""
        self._room.release(_MAX_ARRIVED)
        self._outgoing.put(None)
        self._call.cancel()
        self._channel.close()

    def _read(self) -> None:
        try:
            for replies in self._call:
                self._room.acquire()
                self._arrived.put(replies)
        except grpc.RpcError as error:
            self._arrived.put(_failure(error, self._address))
        else:
            self._arrived.put(ConnectionLost(f"the Flow at {self._address} ended the stream"))


def _merged(outgoing: "queue.SimpleQueue[pb.RequestEnvelope | None]") -> Iterator[pb.RequestsEnvelope]:
    while (first := outgoing.get()) is not None:
        together = [first]
        size = len(first.documents)
        while size < _MAX_MESSAGE_BYTES:
            try:
                following = outgoing.get_nowait()
            except queue.Empty:
                break
            if following is None:
                yield pb.RequestsEnvelope(requests=together)
                return
            together.append(following)
            size += len(following.documents)
        yield pb.RequestsEnvelope(requests=together)


class AsyncGrpcChannel:
    """A connection on the running event loop; make it with `open`."""

    def __init__(self, access: Access) -> None:
        self._address = access.address
        self._channel: Any = (
            grpc.aio.insecure_channel(access.address, options=_OPTIONS)
            if access.tls is None
            else grpc.aio.secure_channel(access.address, access.tls, options=_OPTIONS)
        )
        stream: Any = self._channel.stream_stream(
            _METHOD, pb.RequestsEnvelope.SerializeToString, pb.RepliesEnvelope.FromString
        )
        self._stream = stream(metadata=access.metadata)
        self._arrived: asyncio.Queue[pb.RepliesEnvelope | DureError] = asyncio.Queue(_MAX_ARRIVED)
        self._loop = asyncio.get_running_loop()
        self._reader = self._loop.create_task(self._read())
        self._terms = _Terms(())

    @classmethod
    async def open(cls, access: Access) -> "AsyncGrpcChannel":
        """Connect to a Flow.

        Raises:
            ConnectionLost: Nobody listens there.
        """
        self = cls(access)
        try:
            self._terms = _Terms(await self._stream.initial_metadata())
        except grpc.RpcError as error:
            await self.close()
            raise _failure(error, access.address) from error
        return self

    async def call(self, number: int, target: Target, documents: DocumentArray) -> int:
        """Send one request, as `NativeChannel.call`."""
        envelope, size = _envelope(number, target, documents, self._terms.max_request_bytes)
        try:
            await self._stream.write(pb.RequestsEnvelope(requests=[envelope]))
        except (grpc.RpcError, asyncio.InvalidStateError) as error:
            raise await self._why(error) from error
        return size

    def poll(self) -> list[Incoming]:
        """Return what has arrived, without waiting."""
        return [] if self._arrived.empty() else self._taken(self._arrived.get_nowait())

    async def receive(self) -> list[Incoming]:
        """Wait until something has arrived; return it."""
        return self._taken(await self._arrived.get())

    @property
    def is_open(self) -> bool:
        """Whether the Flow is still at the other end, and this is the loop that it was opened on."""
        is_ours = self._loop is asyncio.get_running_loop()
        return is_ours and self._terms.are_good and not self._stream.done()

    async def close(self) -> None:
        """Close the connection; what is under way is withdrawn."""
        if self._loop.is_closed():
            return
        self._reader.cancel()
        self._stream.cancel()
        await self._channel.close()

    def _taken(self, message: "pb.RepliesEnvelope | DureError") -> list[Incoming]:
        if isinstance(message, DureError):
            raise message
        return [_incoming(reply) for reply in message.replies]

    async def _why(self, error: Exception) -> DureError:
        if isinstance(error, grpc.RpcError):
            return _failure(error, self._address)
        return ConnectionLost(f"the Flow at {self._address} ended the stream")

    async def _read(self) -> None:
        try:
            replies: AsyncIterator[pb.RepliesEnvelope] = aiter(self._stream)
            async for message in replies:
                await self._arrived.put(message)
        except grpc.RpcError as error:
            await self._arrived.put(_failure(error, self._address))
        else:
            await self._arrived.put(ConnectionLost(f"the Flow at {self._address} ended the stream"))
