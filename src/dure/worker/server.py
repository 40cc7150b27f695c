"""The worker's end of the wire: takes batches from the gateway, one call of user code at a time, and answers.

Ordinary methods run on the event loop's thread, which is the process's main thread, in the order their calls came;
coroutines and generators run beside each other, and end when their caller is gone. Knows frames, not documents.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from dure.errors import Cancelled, TooLarge, to_wire
from dure.executor.endpoints import Endpoint
from dure.spec import BatchSpec
from dure.transport.connection import Connection
from dure.transport.frames import Buffers, Frame, Kind
from dure.transport.messages import (
    VERSION,
    BatchCall,
    BatchReply,
    EndpointInfo,
    Leave,
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
_FLUSH_S = 5.0


class WorkerServer:
    """Serves one Executor to whoever connects.

    Args:
        runner: Calls the user's methods.
        name: The Executor's name.
        endpoints: Its table.
        batching: Over what the table says, from the Flow.
        on_lost: Called once when a device is lost: what was begun is answered, and nothing more will be.
    """

    def __init__(
        self,
        runner: Runner,
        name: str,
        endpoints: dict[str, Endpoint],
        batching: BatchSpec | None,
        on_lost: Callable[[], None],
    ) -> None:
        self._runner = runner
        self._on_lost = on_lost
        self._leaving = False
        self._hello = WorkerHello(
            version=VERSION,
            name=name,
            endpoints={
                key: EndpointInfo(e.batching if batching is None or e.streaming else batching, _concurrent(e))
                for key, e in endpoints.items()
            },
            slots=_SLOTS_CONCURRENT if any(map(_concurrent, endpoints.values())) else _SLOTS_IN_ORDER,
            slots_in_order=_SLOTS_IN_ORDER,
        )
        self._waiting: deque[tuple[Connection, Frame]] = deque()
        self._tasks: dict[tuple[Connection, int], asyncio.Task[None]] = {}
        self._held: dict[tuple[Connection, int], asyncio.Event] = {}
        self._connections: set[Connection] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._alone = asyncio.Event()
        self._alone.set()

    def connection(self) -> Connection:
        """Make the protocol object of a new connection."""
        return Connection(_MAX_FRAME_BYTES, self._on_frame, self._on_closed, self._on_opened)

    async def drain(self) -> None:
        """Wait until every call that has arrived is answered, unless a device is lost; then take leave.

        The gateways hang up when they have read that; a call that one of them sent meanwhile is sent elsewhere.
        """
        if not self._leaving:
            await self._idle.wait()
            self._leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await self._alone.wait()

    def _on_opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._alone.clear()
        connection.send(Kind.HELLO, 0, encode(self._hello), [])

    def _on_closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._alone.set()
        for (asker, _), task in self._tasks.items():
            if asker is connection:
                task.cancel()

    def _on_frame(self, connection: Connection, frame: Frame) -> None:
        if frame.kind is Kind.CALL:
            self._waiting.append((connection, frame))
            self._idle.clear()
            # One call a turn of the loop, so that its answer is written before the next begins.
            asyncio.get_running_loop().call_soon(self._next)
        elif (key := (connection, frame.id)) in self._tasks:
            if frame.kind is Kind.CANCEL:
                self._tasks[key].cancel()
            elif frame.kind is Kind.HOLD:
                self._held.setdefault(key, asyncio.Event()).clear()
            elif frame.kind is Kind.GO_ON and key in self._held:
                self._held[key].set()

    def _next(self) -> None:
        if self._leaving:
            return
        connection, frame = self._waiting.popleft()
        call = decode(BatchCall, frame.header)
        endpoint = self._runner.endpoint(call.endpoint)
        if endpoint is not None and _concurrent(endpoint):
            serve = self._serve_stream if endpoint.streaming else self._serve_async
            key = connection, frame.id
            self._tasks[key] = asyncio.get_running_loop().create_task(serve(connection, frame, call))
            self._tasks[key].add_done_callback(lambda task: self._task_done(key, task, call))
            return
        self._answer(connection, frame.id, self._runner.run(call, frame.body))
        self._rest()

    def _task_done(self, key: tuple[Connection, int], task: asyncio.Task[None], call: BatchCall) -> None:
        del self._tasks[key]
        self._held.pop(key, None)
        connection, number = key
        error = Cancelled("withdrawn") if task.cancelled() else task.exception()
        if error is not None:
            _fail(connection, number, len(call.items), error)
        self._rest()

    def _rest(self) -> None:
        if not self._waiting and not self._tasks:
            self._idle.set()

    async def _serve_async(self, connection: Connection, frame: Frame, call: BatchCall) -> None:
        self._answer(connection, frame.id, await self._runner.run_async(call, frame.body))

    async def _serve_stream(self, connection: Connection, frame: Frame, call: BatchCall) -> None:
        async with contextlib.aclosing(self._runner.stream(call, frame.body)) as pieces:
            async for head, body in pieces:
                if isinstance(head, Outcome):
                    self._answer(connection, frame.id, [(head, body)])
                    return
                connection.send(Kind.PART, frame.id, encode(Part(head)), body)
                await connection.drained()
                await asyncio.sleep(0)  # lets the part be written before the next is made, and orders be read
                if (held := self._held.get((connection, frame.id))) is not None:
                    await held.wait()

    def _answer(self, connection: Connection, number: int, answers: list[Answer]) -> None:
        bodies: Buffers = [piece for _, pieces in answers for piece in pieces]
        try:
            connection.send(Kind.REPLY, number, encode(BatchReply([outcome for outcome, _ in answers])), bodies)
        except TooLarge as error:
            _fail(connection, number, len(answers), error)
        if self._runner.lost and not self._leaving:
            self._leave()
            self._on_lost()

    def _leave(self) -> None:
        self._leaving = True
        for connection in self._connections:
            begun = [number for asker, number in self._tasks if asker is connection]
            connection.send(Kind.LEAVE, 0, encode(Leave(begun)), [])


def _concurrent(endpoint: Endpoint) -> bool:
    return endpoint.asynchronous or endpoint.streaming


def _fail(connection: Connection, number: int, count: int, error: BaseException) -> None:
    # Whatever happens, a call is answered: its slot is free, and nobody waits, only then.
    data = encode(to_wire(error))
    outcome = Outcome(failed=True, rows=0, size=len(data), result=b"")
    connection.send(Kind.REPLY, number, encode(BatchReply([outcome] * count)), [data] * count)
