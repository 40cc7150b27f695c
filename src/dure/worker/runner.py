"""From a batch of requests to their outcomes: decode, merge, call the user's method, check, split, render.

The only place where user code is called. Knows no sockets; `server.py` feeds it and sends what it returns.
"""

import asyncio
import contextlib
import traceback
from collections.abc import AsyncGenerator, Generator, Iterator
from time import perf_counter
from typing import Any, TypeAlias

import msgspec

from dure.device.loss import device_loss
from dure.device.transfer import asked_by
from dure.document import plain
from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.document.forms import PROTOBUF, decode_form, encode_form
from dure.document.merge import concatenate, join, split
from dure.errors import DecodeError, DeviceLost, DureError, ExecutorError, ValidationError, to_wire
from dure.executor.base import Executor
from dure.executor.endpoints import DEFAULT, Endpoint
from dure.transport.frames import Buffers
from dure.transport.messages import JOIN, BatchCall, Outcome
from dure.worker.metrics import Counters

Answer: TypeAlias = tuple[Outcome, Buffers]
Fragment: TypeAlias = tuple[int, Buffers]
"""Number of documents, and their payload: a part of a streamed answer."""


class Batch(msgspec.Struct):
    """Decoded requests on their way to one call."""

    call: BatchCall
    documents: DocumentArray
    branches: list[DocumentArray]
    counts: list[int]


class Runner:
    """Serves batches with one Executor.

    Args:
        executor: Whose methods are called.
        name: The Executor's name in the Flow, for errors.
        counters: Where it is counted what was done.

    Attributes:
        lost: What device this process has lost and why; then no more user code is called.
    """

    def __init__(self, executor: Executor, name: str, counters: Counters) -> None:
        self._executor = executor
        self._name = name
        self._counters = counters
        self.lost = ""

    def endpoint(self, name: str) -> Endpoint | None:
        """Return the row of the table that answers `name`, or None for the worker's own JOIN."""
        table = self._executor.requests
        return None if name == JOIN else table.get(name) or table[DEFAULT]

    def run(self, call: BatchCall, body: memoryview | bytearray) -> list[Answer]:
        """Serve a batch with a method that is an ordinary function.

        If a merged call fails, each request is tried alone, so that only the one at fault fails.
        """
        if self.lost:
            return self._failed(call, DeviceLost(self.lost))
        try:
            batch = self._decode(call, body)
            endpoint = self.endpoint(call.endpoint)
            returned = None if endpoint is None else self._call(endpoint, batch)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - user code
            if len(call.items) == 1 or self._loses(error):
                return self._failed(call, error)
            return [self.run(single, part)[0] for single, part in _singles(call, body)]
        return self._finish(batch, returned)

    async def run_async(self, call: BatchCall, body: memoryview | bytearray) -> list[Answer]:
        """Serve a batch with a coroutine function, as `run` does."""
        if self.lost:
            return self._failed(call, DeviceLost(self.lost))
        try:
            batch = self._decode(call, body)
            endpoint = self.endpoint(call.endpoint)
            returned = None if endpoint is None else await self._call_async(endpoint, batch)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - user code
            _raise_if_withdrawn()
            if len(call.items) == 1 or self._loses(error):
                return self._failed(call, error)
            return [(await self.run_async(single, part))[0] for single, part in _singles(call, body)]
        return self._finish(batch, returned)

    async def stream(self, call: BatchCall, body: memoryview | bytearray) -> AsyncGenerator[Answer | Fragment, None]:
        """Serve one request with a generator: yield its parts, and an Answer at the end.

        Where the caller wants no parts, all of them are in the Answer.
        """
        if self.lost:
            yield self._failed(call, DeviceLost(self.lost))[0]
            return
        whole: list[DocumentArray] = []
        try:
            batch = self._decode(call, body)
            endpoint = self._executor.requests.get(call.endpoint) or self._executor.requests[DEFAULT]
            async with contextlib.aclosing(self._produce(endpoint, batch)) as items:
                async for item in items:
                    part = _documents(item, None)
                    if call.stream:
                        yield len(part), self._encode(call, part)
                    else:
                        whole.append(part)
            rest = concatenate(whole) if whole else DocumentArray()
            pieces = self._encode(call, rest)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - user code
            _raise_if_withdrawn()
            yield self._failed(call, error)[0]
            return
        self._count(call)
        yield Outcome(failed=False, rows=len(rest), size=_length(pieces), result=b""), pieces

    def _decode(self, call: BatchCall, body: memoryview | bytearray) -> Batch:
        view = memoryview(body)
        at = 0
        arrays: list[DocumentArray] = []
        branches: list[DocumentArray] = []
        for item in call.items:
            branches = []
            for size in item.sizes:
                branches.append(decode_form(item.form, view[at : at + size]))
                at += size
            arrays.append(join(branches))
        return Batch(call, concatenate(arrays), branches, [len(array) for array in arrays])

    def _call(self, endpoint: Endpoint, batch: Batch) -> Any:
        self._counters.num_calls += 1
        begin = perf_counter()
        try:
            return self._method(endpoint)(**self._arguments(endpoint, batch))
        finally:
            self._counters.compute_s += perf_counter() - begin

    async def _call_async(self, endpoint: Endpoint, batch: Batch) -> Any:
        self._counters.num_calls += 1
        begin = perf_counter()
        try:
            return await self._method(endpoint)(**self._arguments(endpoint, batch))
        finally:
            self._counters.compute_s += perf_counter() - begin

    async def _produce(self, endpoint: Endpoint, batch: Batch) -> AsyncGenerator[Any, None]:
        self._counters.num_calls += 1
        async with contextlib.aclosing(_iterate(self._method(endpoint)(**self._arguments(endpoint, batch)))) as items:
            while True:
                begin = perf_counter()
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
                finally:  # not the time in which an item waits to be taken
                    self._counters.compute_s += perf_counter() - begin
                yield item

    def _method(self, endpoint: Endpoint) -> Any:
        return getattr(self._executor, endpoint.method)

    def _arguments(self, endpoint: Endpoint, batch: Batch) -> dict[str, Any]:
        values: dict[str, Any] = {"docs": batch.documents}
        if "parameters" in endpoint.arguments:
            values["parameters"] = msgspec.msgpack.decode(batch.call.parameters) if batch.call.parameters else {}
        if "docs_matrix" in endpoint.arguments:
            values["docs_matrix"] = batch.branches if len(batch.branches) > 1 else None
        return values

    def _finish(self, batch: Batch, returned: Any) -> list[Answer]:
        counts, items = batch.counts, batch.call.items
        try:
            result = b""
            if isinstance(returned, dict):
                result = _encode_result(returned, {item.form for item in items})
                returned = None
            documents = _documents(returned, batch.documents)
            if len(items) == 1:
                counts = [len(documents)]
            elif len(documents) != sum(counts):
                raise ValidationError(
                    f"returned {len(documents)} documents for {sum(counts)}; requests are merged here"
                    " (max_batch_size), so a method must give back as many documents as it got, in their order"
                )
            answers: list[Answer] = []
            with self._answering(batch.call):
                for item, part in zip(items, split(documents, counts), strict=True):
                    pieces = encode_form(item.form, part)
                    answers.append((Outcome(False, len(part), _length(pieces), result), pieces))
        except Exception as error:  # noqa: BLE001 - what user code returned may fail in any way when it is looked at
            return self._failed(batch.call, error)
        self._count(batch.call)
        return answers

    def _answering(self, call: BatchCall) -> asked_by:
        return asked_by(f"the answer of {self._name} at {call.endpoint}")

    def _encode(self, call: BatchCall, documents: DocumentArray) -> Buffers:
        with self._answering(call):
            return encode_form(call.items[0].form, documents)

    def _count(self, call: BatchCall) -> None:
        if call.endpoint != JOIN:
            counters = self._counters
            counters.num_requests += len(call.items)
            for item in call.items:
                counters.num_documents += item.rows

    def _loses(self, error: BaseException) -> bool:
        self.lost = self.lost or device_loss(error)
        return bool(self.lost)

    def _failed(self, call: BatchCall, error: BaseException) -> list[Answer]:
        self._count(call)
        told = error if isinstance(error, DecodeError) else self._user_error(call, error)
        data = msgspec.msgpack.encode(to_wire(told))
        return [(Outcome(failed=True, rows=0, size=len(data), result=b""), [data]) for _ in call.items]

    def _user_error(self, call: BatchCall, error: BaseException) -> DureError:
        where = {
            "executor": self._name,
            "endpoint": call.endpoint,
            "remote_traceback": _sendable("".join(traceback.format_exception(error))),
        }
        if self._loses(error):
            lost = DeviceLost(f"{self._name} failed at {call.endpoint}: {self.lost} Another worker takes its place.")
            vars(lost).update(where)
            return lost
        kind = type(error)
        text = _text(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        message = f"{self._name} failed at {call.endpoint}: {name}: {text}"
        return ExecutorError(message, original_type=name, original_message=text, **where)


def _raise_if_withdrawn() -> None:
    # A coroutine may raise CancelledError by itself, which is an error like any other.
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _text(error: BaseException) -> str:
    try:
        return _sendable(str(error))
    except Exception as broken:  # noqa: BLE001 - user code, too
        return f"<its text cannot be had: {type(broken).__qualname__}>"


def _sendable(text: str) -> str:
    # Lone surrogates, which stand in texts that were decoded carelessly, have no UTF-8.
    return text.encode(errors="backslashreplace").decode()


def _singles(call: BatchCall, body: memoryview | bytearray) -> Iterator[tuple[BatchCall, memoryview]]:
    view = memoryview(body)
    at = 0
    for item in call.items:
        size = sum(item.sizes)
        yield BatchCall(call.endpoint, call.parameters, call.stream, [item]), view[at : at + size]
        at += size


def _documents(returned: Any, given: DocumentArray | None) -> DocumentArray:
    if isinstance(returned, DocumentArray):
        return returned
    if isinstance(returned, Document):
        return DocumentArray(returned)
    if returned is None and given is not None:
        return given
    raise ValidationError(
        f"returned a {type(returned).__name__}; a method returns None, a DocumentArray or a dict,"
        " and a generator yields Documents or DocumentArrays"
    )


def _encode_result(result: dict[str, Any], forms: set[str]) -> bytes:
    plain.check(result, "the dict returned")
    if PROTOBUF in forms:
        plain.to_json(result, "the dict returned")  # which it will be sent as
    try:
        return msgspec.msgpack.encode(result, enc_hook=plain.encode_hook)
    except (TypeError, OverflowError, ValueError) as error:
        raise ValidationError(f"returned a dict that cannot be sent: {error}") from error


def _length(pieces: Buffers) -> int:
    return sum([len(piece) for piece in pieces])


async def _iterate(produced: Generator[Any] | AsyncGenerator[Any]) -> AsyncGenerator[Any]:
    if isinstance(produced, AsyncGenerator):
        async with contextlib.aclosing(produced):
            async for item in produced:
                yield item
    else:
        with contextlib.closing(produced):
            for item in produced:
                yield item
