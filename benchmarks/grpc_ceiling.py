"""How fast grpc itself gets messages to a server and back: bytes in, bytes out, nothing parsed, no worker behind it.

The client is made like dure's: the ordinary grpc client, one stream, its messages taken from a queue. A message may
stand for several requests.

    python grpc_ceiling.py REPLY_BYTES
"""

import asyncio
import queue
import struct
import sys
import time
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self

import lifeline
from processes import Program

_METHOD = "/ceiling.Ceiling/Stream"
_COUNT = struct.Struct("<I")  # how many requests a message stands for
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


async def _serve(reply_bytes: int) -> None:
    import grpc

    async def answer(messages: AsyncIterator[bytes], context: Any) -> None:
        async for message in messages:
            await context.write(bytes(reply_bytes * _COUNT.unpack_from(message)[0]))

    server = grpc.aio.server(options=_OPTIONS)
    handler = grpc.stream_stream_rpc_method_handler(answer)
    service, method = _METHOD.strip("/").split("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    lifeline.hold(port)
    await server.wait_for_termination()


class GrpcCeiling:
    """The server, running, and one stream to it.

    Args:
        request_bytes: Size of a request.
        reply_bytes: Size of its answer.
    """

    def __init__(self, request_bytes: int, reply_bytes: int) -> None:
        import grpc

        self._request_bytes = request_bytes
        self._program = Program("grpc_ceiling.py", str(reply_bytes))
        self._channel = grpc.insecure_channel(f"127.0.0.1:{self._program.answer()}", options=_OPTIONS)
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        stream: Any = self._channel.stream_stream(_METHOD, None, None)
        self._arrived: Iterator[bytes] = stream(self._messages())
        self.round_trips_s(10)

    def _messages(self) -> Iterator[bytes]:
        while (message := self._outgoing.get()) is not None:
            yield message

    def requests_per_s(self, *, bundle: int, window: int, count: int) -> float:
        """Send `count` requests, `bundle` in a message, at most `window` requests under way."""
        message = _COUNT.pack(bundle) + bytes(self._request_bytes * bundle - _COUNT.size)
        messages = count // bundle
        under_way = min(window // bundle, messages)
        start = time.perf_counter()
        for _ in range(under_way):
            self._outgoing.put(message)
        for number in range(messages):
            next(self._arrived)
            if number + under_way < messages:
                self._outgoing.put(message)
        return messages * bundle / (time.perf_counter() - start)

    def round_trips_s(self, count: int) -> list[float]:
        """How long each of `count` messages took, one after the other."""
        message = _COUNT.pack(1) + bytes(self._request_bytes - _COUNT.size)
        times = []
        for _ in range(count):
            start = time.perf_counter()
            self._outgoing.put(message)
            next(self._arrived)
            times.append(time.perf_counter() - start)
        return times

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._outgoing.put(None)
        self._channel.close()
        self._program.close()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
