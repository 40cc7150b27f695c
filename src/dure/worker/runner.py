"""Serves batches with one Executor: calls the user's method, and finds out whose fault it is when that fails.

The only place where user code is called. Knows no sockets; `server.py` feeds it and sends what it returns. What becomes
of a batch is decided once, in `_steps`, whether its method is an ordinary function or a coroutine.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator, Iterator
from time import perf_counter
from typing import Any, TypeAlias

import msgspec

from dure.device.loss import device_loss, out_of_memory
from dure.device.transfer import asked_by
from dure.document.array import DocumentArray
from dure.document.forms import encode_form
from dure.document.merge import concatenate
from dure.errors import DecodeError, DeviceLost
from dure.executor.base import Executor
from dure.executor.endpoints import DEFAULT, Endpoint
from dure.executor.stages import stages_into
from dure.log import get_logger
from dure.transport.frames import Buffers
from dure.transport.messages import JOIN, BatchCall, Outcome, Spent
from dure.worker.arguments import arguments_of
from dure.worker.batch import Answer, Batch, NotMergeable, documents_of, length, part, singles
from dure.worker.cache import AnswerCache
from dure.worker.fault import Where, failed
from dure.worker.metrics import Counters

Fragment: TypeAlias = tuple[int, Buffers]
"""Number of documents, and their payload: a part of a streamed answer."""

_Steps: TypeAlias = Generator[tuple[Endpoint, Batch], Any, list[Answer]]
"""Yields what is to be called; is sent what was returned, or thrown what was raised; returns the answers."""


class Runner:
    """Serves batches with one Executor.

    Args:
        executor: Whose methods are called.
        name: The Executor's name in the Flow, for errors.
        counters: Where it is counted what was done.
        cache: Where answers are kept, if they are.

    Attributes:
        lost: What device this process has lost and why; then no more user code is called.
    """

    def __init__(self, executor: Executor, name: str, counters: Counters, cache: AnswerCache | None = None) -> None:
        self._executor = executor
        self._cache = cache
        self._name = name
        self._counters = counters
        self._unmerged: set[str] = set()
        self.lost = ""

    def endpoint(self, name: str) -> Endpoint | None:
        """Return the row of the table that answers `name`, or None for the worker's own JOIN."""
        table = self._executor.requests
        return None if name == JOIN else table.get(name) or table[DEFAULT]

    def run(self, call: BatchCall, body: memoryview | bytearray, spent: Spent) -> list[Answer]:
        """Serve a batch with a method that is an ordinary function; what it took is added to `spent`.

        If a merged call fails, its halves are tried, and so on, so that only the request at fault fails.
        """
        steps = self._steps(call, body, spent)
        try:
            endpoint, batch = next(steps)
            while True:
                try:
                    returned = self._call(endpoint, batch, spent)
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - user code
                    endpoint, batch = steps.throw(error)
                else:
                    endpoint, batch = steps.send(returned)
        except StopIteration as done:
            return self._counted(call, spent, done.value)

    async def run_async(self, call: BatchCall, body: memoryview | bytearray, spent: Spent) -> list[Answer]:
        """Serve a batch with a coroutine function, as `run` does."""
        steps = self._steps(call, body, spent)
        try:
            endpoint, batch = next(steps)
            while True:
                try:
                    returned = await self._call_async(endpoint, batch, spent)
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - user code
                    _raise_if_withdrawn()
                    endpoint, batch = steps.throw(error)
                else:
                    endpoint, batch = steps.send(returned)
        except StopIteration as done:
            return self._counted(call, spent, done.value)

    async def stream(
        self, call: BatchCall, body: memoryview | bytearray, spent: Spent
    ) -> AsyncGenerator[Answer | Fragment, None]:
        """Serve one request with a generator: yield its parts, and an Answer at the end.

        Where the caller wants no parts, all of them are in the Answer.
        """
        if self.lost:
            yield self._failed(call, DeviceLost(self.lost))[0]
            return
        whole: list[DocumentArray] = []
        try:
            batch = Batch.read(call, body, spent)
            endpoint = self._executor.requests.get(call.endpoint) or self._executor.requests[DEFAULT]
            async with contextlib.aclosing(self._produce(endpoint, batch, spent)) as items:
                async for item in items:
                    piece = documents_of(item, None)
                    if call.stream:
                        yield len(piece), self._encode(call, piece, spent)
                    else:
                        whole.append(piece)
            rest = concatenate(whole) if whole else DocumentArray()
            pieces = self._encode(call, rest, spent)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - user code
            _raise_if_withdrawn()
            answers = self._failed(call, error)
        else:
            answers = [(Outcome(failed=False, rows=len(rest), size=length(pieces), result=b""), pieces)]
        yield self._counted(call, spent, answers)[0]

    # -- what becomes of a batch ----------------------------------------------------------------------------------

    def _steps(self, call: BatchCall, body: memoryview | bytearray, spent: Spent, *, halved: bool = False) -> _Steps:
        if self.lost:
            return self._failed(call, DeviceLost(self.lost))
        merged = len(call.items) > 1
        try:
            endpoint = self.endpoint(call.endpoint)
            if merged and endpoint is not None and endpoint.method in self._unmerged:
                return (yield from self._singly(call, body, spent))
            batch = Batch.read(call, body, spent)
            returned = None if endpoint is None else (yield from self._returned(endpoint, batch, spent))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - user code
            # Memory that does not suffice for a half either will not for a quarter: nobody's documents are at fault.
            again = merged and not self._loses(error) and not (halved and out_of_memory(error))
            if not again:
                return self._failed(call, error)
            halved = out_of_memory(error)
        else:
            answers = self._taken_apart(endpoint, batch, returned, spent)
            if answers is None:
                return (yield from self._singly(call, body, spent))
            return answers
        middle, end = len(call.items) // 2, len(call.items)
        first = yield from self._steps(*part(call, body, 0, middle), spent, halved=halved)
        second = yield from self._steps(*part(call, body, middle, end), spent, halved=halved)
        return first + second

    def _returned(self, endpoint: Endpoint, batch: Batch, spent: Spent) -> Generator[tuple[Endpoint, Batch], Any, Any]:
        """Return what the method returns, for as many documents as must be given to it."""
        if self._cache is None or len(batch.branches) > 1:
            return (yield endpoint, batch)
        lookup = self._cache.look_up(batch.call.endpoint, batch.call.parameters, batch.documents)
        spent.num_cached += lookup.num_found
        returned: Any = None
        if lookup.missing:
            returned = yield endpoint, msgspec.structs.replace(batch, documents=lookup.missing)
        return lookup.complete(returned)

    def _singly(self, call: BatchCall, body: memoryview | bytearray, spent: Spent) -> _Steps:
        answers: list[Answer] = []
        for single, payload in singles(call, body):
            answers += yield from self._steps(single, payload, spent)
        return answers

    def _taken_apart(self, endpoint: Endpoint | None, batch: Batch, returned: Any, spent: Spent) -> list[Answer] | None:
        """Return the answers; None if nobody asked that requests be merged and they turn out not to be mergeable."""
        on_trial = endpoint is not None and batch.merged and not endpoint.asked
        try:
            if on_trial:
                batch.check_whose(returned)
            with self._answering(batch.call):
                answers = batch.answers(returned, spent)
        except Exception as error:  # noqa: BLE001 - what user code returned may fail in any way when it is looked at
            if not on_trial or endpoint is None or not isinstance(error, NotMergeable):
                return self._failed(batch.call, error)
            self._unmerged.add(endpoint.method)
            get_logger(self._name).warning(
                "%s was called for several requests at once and %s. It is called for each of them again, and from now"
                " on for one at a time; @batching(max_batch_size=1) says so from the start.",
                endpoint.method,
                error,
            )
            return None
        return [self._failed(batch.call, one)[0] if isinstance(one, Exception) else one for one in answers]

    # -- calls ----------------------------------------------------------------------------------------------------

    def _call(self, endpoint: Endpoint, batch: Batch, spent: Spent) -> Any:
        with self._timed(spent):
            return self._method(endpoint)(**arguments_of(endpoint, batch))

    async def _call_async(self, endpoint: Endpoint, batch: Batch, spent: Spent) -> Any:
        with self._timed(spent):
            return await self._method(endpoint)(**arguments_of(endpoint, batch))

    @contextlib.contextmanager
    def _timed(self, spent: Spent) -> Iterator[None]:
        spent.num_calls += 1
        begin = perf_counter()
        try:
            with stages_into(spent.stages):
                yield
        finally:
            spent.compute_s += perf_counter() - begin

    async def _produce(self, endpoint: Endpoint, batch: Batch, spent: Spent) -> AsyncGenerator[Any, None]:
        spent.num_calls += 1
        produced = self._method(endpoint)(**arguments_of(endpoint, batch))
        async with contextlib.aclosing(_iterate(produced)) as items:
            while True:
                begin = perf_counter()
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
                finally:  # not the time in which an item waits to be taken
                    spent.compute_s += perf_counter() - begin
                yield item

    def _method(self, endpoint: Endpoint) -> Any:
        return getattr(self._executor, endpoint.method)

    # -- answers --------------------------------------------------------------------------------------------------

    def _answering(self, call: BatchCall) -> asked_by:
        return asked_by(f"the answer of {self._name} at {call.endpoint}")

    def _encode(self, call: BatchCall, documents: DocumentArray, spent: Spent) -> Buffers:
        begin = perf_counter()
        with self._answering(call):
            pieces = encode_form(call.items[0].form, documents)
        spent.encode_s += perf_counter() - begin
        return pieces

    def _counted(self, call: BatchCall, spent: Spent, answers: list[Answer]) -> list[Answer]:
        if call.endpoint != JOIN:
            self._counters.add(len(call.items), sum([item.rows for item in call.items]), spent)
        return answers

    def _loses(self, error: BaseException) -> bool:
        self.lost = self.lost or device_loss(error)
        return bool(self.lost)

    def _failed(self, call: BatchCall, error: BaseException) -> list[Answer]:
        if not isinstance(error, DecodeError):
            self._loses(error)
        return failed(Where(self._name, call.endpoint), error, self.lost, len(call.items))


def _raise_if_withdrawn() -> None:
    # A coroutine may raise CancelledError by itself, which is an error like any other.
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _iterate(produced: Generator[Any] | AsyncGenerator[Any]) -> AsyncGenerator[Any]:
    if isinstance(produced, AsyncGenerator):
        async with contextlib.aclosing(produced):
            async for item in produced:
                yield item
    else:
        with contextlib.closing(produced):
            for item in produced:
                yield item
