"""The worker's end of the wire: takes batches from the gateway, one call of user code at a time, and answers.

Ordinary methods run on the event loop's thread, which is the process's main thread, in the order their calls came;
coroutines and generators run beside each other. Knows frames, not documents.
"""

import asyncio
from collections import deque

from dure.executor.endpoints import Endpoint
from dure.spec import BatchSpec
from dure.transport.connection import Connection
from dure.transport.frames import Buffers, Frame, Kind
from dure.transport.messages import (
    VERSION,
    BatchCall,
    BatchReply,
    EndpointInfo,
    Outcome,
    Part,
    WorkerHello,
    decode,
    encode,
)
from dure.worker.runner import Answer, Runner

_SLOTS_IN_ORDER = 2  # one being computed, one waiting in the socket
_SLOTS_CONCURRENT = 64
_MAX_FRAME_BYTES = 0xFFFFFFFF  # what a gateway lets through is the gateway's to bound


class WorkerServer:
    """Serves one Executor to whoever connects.

    Args:
        runner: Calls the user's methods.
        name: The Executor's name.
        endpoints: Its table.
        batching: Over what the table says, from the Flow.
    """

    def __init__(
        self, runner: Runner, name: str, endpoints: dict[str, Endpoint], batching: BatchSpec | None = None
    ) -> None:
        self._runner = runner
        concurrent = any(e.asynchronous or e.streaming for e in endpoints.values())
        self._hello = WorkerHello(
            version=VERSION,
            name=name,
            endpoints={
                key: EndpointInfo(e.batching if batching is None or e.streaming else batching, e.streaming)
                for key, e in endpoints.items()
            },
            slots=_SLOTS_CONCURRENT if concurrent else _SLOTS_IN_ORDER,
            in_order=not concurrent,
        )
        self._waiting: deque[tuple[Connection, Frame]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def connection(self) -> Connection:
        """Make the protocol object of a new connection."""
        return Connection(_MAX_FRAME_BYTES, self._on_frame, self._connections.discard, self._on_opened)

    async def drain(self) -> None:
        """Wait until every call that has arrived is answered, then close the connections."""
        await self._idle.wait()
        for connection in list(self._connections):
            connection.close()

    def _on_opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        connection.send(Kind.HELLO, 0, encode(self._hello), [])

    def _on_frame(self, connection: Connection, frame: Frame) -> None:
        if frame.kind is Kind.CALL:
            self._waiting.append((connection, frame))
            self._idle.clear()
            # One call a turn of the loop, so that its answer is written before the next begins.
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        connection, frame = self._waiting.popleft()
        call = decode(BatchCall, frame.header)
        endpoint = self._runner.endpoint(call.endpoint)
        if endpoint is not None and (endpoint.streaming or endpoint.asynchronous):
            serve = self._serve_stream if endpoint.streaming else self._serve_async
            task = asyncio.get_running_loop().create_task(serve(connection, frame, call))
            self._tasks.add(task)
            task.add_done_callback(self._task_done)
            return
        _answer(connection, frame.id, self._runner.run(call, frame.body))
        self._rest()

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._rest()

    def _rest(self) -> None:
        if not self._waiting and not self._tasks:
            self._idle.set()

    async def _serve_async(self, connection: Connection, frame: Frame, call: BatchCall) -> None:
        _answer(connection, frame.id, await self._runner.run_async(call, frame.body))

    async def _serve_stream(self, connection: Connection, frame: Frame, call: BatchCall) -> None:
        async for piece in self._runner.stream(call, frame.body):
            head, body = piece
            if isinstance(head, Outcome):
                _answer(connection, frame.id, [(head, body)])
                return
            connection.send(Kind.PART, frame.id, encode(Part(head)), body)
            await connection.drained()
            await asyncio.sleep(0)  # lets the part be written before the next is made


def _answer(connection: Connection, number: int, answers: list[Answer]) -> None:
    bodies: Buffers = [piece for _, pieces in answers for piece in pieces]
    connection.send(Kind.REPLY, number, encode(BatchReply([outcome for outcome, _ in answers])), bodies)
