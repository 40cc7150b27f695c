"""The public gRPC interface, caller's end: for Flows on other machines, and where a proxy stands between.

Requests that wait to be written go out as one message. The same words and the same behaviour as our own channel.
"""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import msgspec

from dure.client.exchange import Incoming
from dure.client.native import Target
from dure.document import dure_pb2 as pb
from dure.document import protobuf
from dure.document.array import DocumentArray
from dure.errors import ConnectionLost, DureError, TooLarge, ValidationError, from_wire

_METHOD = "/dure.v1.Flow/Stream"
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_MAX_MESSAGE_BYTES = 1 * 2**20


def _envelope(number: int, target: Target, documents: DocumentArray) -> tuple[pb.RequestEnvelope, int]:
    data = protobuf.encode(documents)
    parameters = ""
    if target.parameters:
        try:
            parameters = msgspec.json.encode(msgspec.msgpack.decode(target.parameters)).decode()
        except (TypeError, ValueError) as error:
            raise ValidationError(f"parameters cannot be sent as JSON: {error}") from error
    envelope = pb.RequestEnvelope(
        id=number, endpoint=target.endpoint, parameters_json=parameters, documents=data, parts=target.stream
    )
    return envelope, len(data)


def _incoming(reply: pb.ReplyEnvelope) -> Incoming:
    if reply.HasField("error"):
        fields = msgspec.json.decode(reply.error.fields_json or "{}")
        error = from_wire({**fields, "code": reply.error.code, "message": reply.error.message})
        return Incoming(reply.id, error=error)
    results = {name: msgspec.msgpack.encode(msgspec.json.decode(text)) for name, text in reply.results_json.items()}
    return Incoming(reply.id, protobuf.decode(reply.documents), results=results, final=not reply.part)


def _failure(error: grpc.RpcError, address: str) -> DureError:
    status = error.code()
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return TooLarge(f"the Flow at {address} refused a message: {error.details()} (max_request_bytes)")
    return ConnectionLost(f"the Flow at {address} cannot be reached, or went away: {status.name}: {error.details()}")


class GrpcChannel:
    """A blocking connection: requests go through a queue, answers come through another, filled by a thread.

    Args:
        address: `host:port`.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._outgoing: queue.SimpleQueue[pb.RequestEnvelope | None] = queue.SimpleQueue()
        self._arrived: queue.SimpleQueue[pb.RepliesEnvelope | DureError] = queue.SimpleQueue()
        stream = self._channel.stream_stream(
            _METHOD, pb.RequestsEnvelope.SerializeToString, pb.RepliesEnvelope.FromString
        )
        self._call: Any = stream(_merged(self._outgoing))
        threading.Thread(target=self._read, daemon=True).start()

    def call(self, number: int, target: Target, documents: DocumentArray) -> int:
        """Send one request; return its size in bytes."""
        envelope, size = _envelope(number, target, documents)
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
        return [_incoming(reply) for reply in message.replies]

    def close(self) -> None:
        """Close the connection; what is under way is withdrawn."""
        self._outgoing.put(None)
        self._call.cancel()
        self._channel.close()

    def _read(self) -> None:
        try:
            for replies in self._call:
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

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel: Any = grpc.aio.insecure_channel(address, options=_OPTIONS)
        stream: Any = self._channel.stream_stream(
            _METHOD, pb.RequestsEnvelope.SerializeToString, pb.RepliesEnvelope.FromString
        )
        self._stream = stream()
        self._arrived: asyncio.Queue[pb.RepliesEnvelope | DureError] = asyncio.Queue()
        self._reader = asyncio.get_running_loop().create_task(self._read())

    @classmethod
    async def open(cls, address: str) -> "AsyncGrpcChannel":
        """Connect to `host:port`; a Flow that is not there is noticed at the first `receive`."""
        return cls(address)

    async def call(self, number: int, target: Target, documents: DocumentArray) -> int:
        """Send one request; return its size in bytes."""
        envelope, size = _envelope(number, target, documents)
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

    async def close(self) -> None:
        """Close the connection; what is under way is withdrawn."""
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
                self._arrived.put_nowait(message)
        except grpc.RpcError as error:
            self._arrived.put_nowait(_failure(error, self._address))
        else:
            self._arrived.put_nowait(ConnectionLost(f"the Flow at {self._address} ended the stream"))
