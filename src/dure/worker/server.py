"""The worker's end of the wire: takes batches from the gateway, one call of user code at a time, and answers.

Ordinary methods run on the event loop's thread, which is the process's main thread, in the order their calls came, or
in several threads; coroutines and generators run beside each other, and end when their caller is gone. Knows frames,
not documents.
"""

import asyncio
import contextlib
from collections.abc import Callable

from dure.errors import Cancelled, TooLarge, to_wire
from dure.executor.endpoints import Endpoint
from dure.executor.parameters import schema_of
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
    Spent,
    WorkerHello,
    decode,
    encode,
)
from dure.worker.batch import Answer
from dure.worker.call_threads import CallThreads
from dure.worker.runner import Runner

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
        threads: Where ordinary methods run, if not on the event loop's thread.
        on_lost: Called once when a device is lost: what was begun is answered, and nothing more will be.
    """

    def __init__(
        self,
        runner: Runner,
        name: str,
        endpoints: dict[str, Endpoint],
        threads: CallThreads | None,
        on_lost: Callable[[], None],
    ) -> None:
        self._runner = runner
        self._threads = threads
        self._on_lost = on_lost
        self._leaving = False
        concurrency = 1 if threads is None else threads.count
        cooperative = any(one.asynchronous or one.streaming for one in endpoints.values())
        self._hello = WorkerHello(
            version=VERSION,
            name=name,
            endpoints={key: self._info(name, one) for key, one in endpoints.items()},
            slots=_SLOTS_CONCURRENT if cooperative else concurrency + 1,  # one waits where it can be begun at once
            slots_in_order=_SLOTS_IN_ORDER,
            concurrency=concurrency,
        )
        self._waiting: dict[tuple[Connection, int], Frame] = {}  # in the order they came
        self._withdrawn: set[tuple[Connection, int]] = set()  # of those
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
        """Take leave, and wait until every call that was begun is answered, unless a device is lost.

        The gateways hang up when they have read that, and the answers; what was not begun they send elsewhere. Under
        load there is no moment without a call, so leave is taken first.
        """
        if not self._leaving:
            self._leave()
            await self._idle.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await self._alone.wait()

    def _on_opened(self, connection: Connection) -> None:
        if self._leaving:
            connection.close()  # a gateway that was told so just now, and looks whether it is still here
            return
        self._connections.add(connection)
        self._alone.clear()
        connection.send(Kind.HELLO, 0, encode(self._hello), [])

    def _on_closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._alone.set()
        for key in [key for key in self._waiting if key[0] is connection]:
            del self._waiting[key]  # who sent them will send them elsewhere
        self._rest()
        for (asker, _), task in self._tasks.items():
            if asker is connection:
                task.cancel()

    def _on_frame(self, connection: Connection, frame: Frame) -> None:
        key = connection, frame.id
        if frame.kind is Kind.CALL:
            if self._leaving:
                return  # it was sent before the gateway had read that
            self._waiting[key] = frame
            self._idle.clear()
            if len(self._waiting) == 1:
                asyncio.get_running_loop().call_soon(self._next)
        elif frame.kind is Kind.CANCEL and key in self._waiting:
            self._withdrawn.add(key)
        elif key in self._tasks:
            if frame.kind is Kind.CANCEL:
                self._tasks[key].cancel()
            elif frame.kind is Kind.HOLD:
                self._held.setdefault(key, asyncio.Event()).clear()
            elif frame.kind is Kind.GO_ON and key in self._held:
                self._held[key].set()

    def _next(self) -> None:
        if self._leaving:
            return
        if self._waiting:
            key = next(iter(self._waiting))
            frame = self._waiting.pop(key)
            if key in self._withdrawn:
                self._withdrawn.discard(key)
                items = decode(BatchCall, frame.header).items
                _fail(*key, len(items), Cancelled("withdrawn before it was begun"))
            else:
                self._serve(key[0], frame)
        if self._waiting:
            # One call a turn of the loop: its answer is written before the next begins, and who withdraws is heard.
            asyncio.get_running_loop().call_soon(self._next)
        self._rest()

    def _serve(self, connection: Connection, frame: Frame) -> None:
        call = decode(BatchCall, frame.header)
        endpoint = self._runner.endpoint(call.endpoint)
        if endpoint is None or not self._concurrent(endpoint):
            spent = Spent()
            self._answer(connection, frame.id, self._runner.run(call, frame.body, spent), spent)
            return
        serve = self._serve_stream if endpoint.streaming else self._serve_one
        key = connection, frame.id
        self._tasks[key] = asyncio.get_running_loop().create_task(serve(connection, frame, call))
        self._tasks[key].add_done_callback(lambda task: self._task_done(key, task, call))

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

    def _info(self, name: str, endpoint: Endpoint) -> EndpointInfo:
        return EndpointInfo(
            batching=endpoint.batching,
            concurrent=self._concurrent(endpoint),
            streaming=endpoint.streaming,
            description=endpoint.description,
            parameters={} if endpoint.takes is None else schema_of(endpoint.takes, name),
        )

    def _concurrent(self, endpoint: Endpoint) -> bool:
        return endpoint.asynchronous or endpoint.streaming or self._threads is not None

    async def _serve_one(self, connection: Connection, frame: Frame, call: BatchCall) -> None:
        spent = Spent()
        endpoint = self._runner.endpoint(call.endpoint)
        if self._threads is not None and endpoint is not None and not endpoint.asynchronous:
            answers = await self._threads.run(lambda: self._runner.run(call, frame.body, spent))
        else:
            answers = await self._runner.run_async(call, frame.body, spent)
        self._answer(connection, frame.id, answers, spent)

    async def _serve_stream(self, connection: Connection, frame: Frame, call: BatchCall) -> None:
        spent = Spent()
        async with contextlib.aclosing(self._runner.stream(call, frame.body, spent)) as pieces:
            async for head, body in pieces:
                if isinstance(head, Outcome):
                    self._answer(connection, frame.id, [(head, body)], spent)
                    return
                connection.send(Kind.PART, frame.id, encode(Part(head)), body)
                await connection.drained()
                await asyncio.sleep(0)  # lets the part be written before the next is made, and orders be read
                if (held := self._held.get((connection, frame.id))) is not None:
                    await held.wait()

    def _answer(self, connection: Connection, number: int, answers: list[Answer], spent: Spent) -> None:
        bodies: Buffers = [piece for _, pieces in answers for piece in pieces]
        try:
            connection.send(Kind.REPLY, number, encode(BatchReply([outcome for outcome, _ in answers], spent)), bodies)
        except TooLarge as error:
            _fail(connection, number, len(answers), error)
        if self._runner.lost and not self._leaving:
            self._leave()
            self._on_lost()

    def _leave(self) -> None:
        self._leaving = True
        self._waiting.clear()
        for connection in self._connections:
            begun = [number for asker, number in self._tasks if asker is connection]
            connection.send(Kind.LEAVE, 0, encode(Leave(begun)), [])
        self._rest()


def _fail(connection: Connection, number: int, count: int, error: BaseException) -> None:
    # Whatever happens, a call is answered: its slot is free, and nobody waits, only then.
    data = encode(to_wire(error))
    outcome = Outcome(failed=True, rows=0, size=len(data), result=b"")
    connection.send(Kind.REPLY, number, encode(BatchReply([outcome] * count, Spent())), [data] * count)
