"""The public gRPC interface, caller's end: for Flows on other machines, and where a proxy stands between.

Requests that wait to be written go out as one message. The same words and the same behaviour as our own channel.
"""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc

from dure.client.exchange import Incoming
from dure.client.grpc_messages import OPTIONS, SERVICE, Access, Terms, envelope_of, failure_of, incoming_of
from dure.client.native import Target
from dure.document import dure_pb2 as pb
from dure.document.array import DocumentArray
from dure.errors import ConnectionLost, DureError

_MAX_MESSAGE_BYTES = 1 * 2**20
_MAX_ARRIVED = 8  # messages; while as many wait to be taken, no more are read


class GrpcChannel:
    """A blocking connection: requests go through a queue, answers come through another, filled by a thread.

    Args:
        access: Where it is, and how it is to be spoken to.

    Raises:
        ConnectionLost: Nobody listens there.
    """

    def __init__(self, access: Access) -> None:
        self._address = access.address
        self._channel = access.channel(grpc, OPTIONS)
        self._outgoing: queue.SimpleQueue[pb.RequestEnvelope | None] = queue.SimpleQueue()
        self._arrived: queue.SimpleQueue[pb.RepliesEnvelope | DureError] = queue.SimpleQueue()
        stream = self._channel.stream_stream(
            f"{SERVICE}/Stream", pb.RequestsEnvelope.SerializeToString, pb.RepliesEnvelope.FromString
        )
        self._call: Any = stream(_merged(self._outgoing), metadata=access.metadata)
        self._room = threading.Semaphore(_MAX_ARRIVED)
        threading.Thread(target=self._read, daemon=True).start()
        self._terms = Terms(self._call.initial_metadata())
        if not self._call.is_active():
            self.close()
            self.receive()  # raises why

    def call(self, number: int, target: Target, documents: DocumentArray) -> int:
        """Send one request, as `NativeChannel.call`."""
        envelope, size = envelope_of(number, target, documents, self._terms.max_request_bytes)
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
        return [incoming_of(reply) for reply in message.replies]

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
            self._arrived.put(failure_of(error, self._address))
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
        self._channel = access.channel(grpc.aio, OPTIONS)
        stream: Any = self._channel.stream_stream(
            f"{SERVICE}/Stream", pb.RequestsEnvelope.SerializeToString, pb.RepliesEnvelope.FromString
        )
        self._stream = stream(metadata=access.metadata)
        self._arrived: asyncio.Queue[pb.RepliesEnvelope | DureError] = asyncio.Queue(_MAX_ARRIVED)
        self._loop = asyncio.get_running_loop()
        self._reader = self._loop.create_task(self._read())
        self._terms = Terms(())

    @classmethod
    async def open(cls, access: Access) -> "AsyncGrpcChannel":
        """Connect to a Flow.

        Raises:
            ConnectionLost: Nobody listens there.
        """
        self = cls(access)
        try:
            self._terms = Terms(await self._stream.initial_metadata())
        except grpc.RpcError as error:
            await self.close()
            raise failure_of(error, access.address) from error
        return self

    async def call(self, number: int, target: Target, documents: DocumentArray) -> int:
        """Send one request, as `NativeChannel.call`."""
        envelope, size = envelope_of(number, target, documents, self._terms.max_request_bytes)
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
        return [incoming_of(reply) for reply in message.replies]

    async def _why(self, error: Exception) -> DureError:
        if isinstance(error, grpc.RpcError):
            return failure_of(error, self._address)
        return ConnectionLost(f"the Flow at {self._address} ended the stream")

    async def _read(self) -> None:
        try:
            replies: AsyncIterator[pb.RepliesEnvelope] = aiter(self._stream)
            async for message in replies:
                await self._arrived.put(message)
        except grpc.RpcError as error:
            await self._arrived.put(failure_of(error, self._address))
        else:
            await self._arrived.put(ConnectionLost(f"the Flow at {self._address} ended the stream"))
