"""One worker of a map on Ray: hosts the Executor once, and does a part after the other, from the input to its file.

What goes wrong is told in the row that it yields, so that it arrives as what it is, with the node's name. Does not
know Ray Data beyond its rows.
"""

import asyncio
import contextlib
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from dure.bulk.answers import Answers
from dure.bulk.folder import OutputFolder
from dure.bulk.manifest import MANIFEST, read_manifest
from dure.bulk.part import MAX_ATTEMPTS, Part, Parts, located
from dure.bulk.reading import Reader
from dure.bulk.source import Source
from dure.client.exchange import encode_parameters
from dure.device.transfer import transfers
from dure.document.array import DocumentArray
from dure.document.forms import COLUMNS, decode_form, encode_form
from dure.document.merge import split
from dure.errors import (
    DecodeError,
    DureError,
    EndpointNotFound,
    SpecError,
    StartFailed,
    WorkerCrashed,
    from_wire,
    to_wire,
)
from dure.executor.base import Executor
from dure.executor.endpoints import DEFAULT
from dure.spec import suggest
from dure.transport.messages import BatchCall, Item, Outcome, Spent, decode_error
from dure.worker.assignment import Hosted
from dure.worker.batch import Answer, length
from dure.worker.cache import AnswerCache
from dure.worker.construction import constructed
from dure.worker.metrics import Counters
from dure.worker.runner import Runner


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What every worker of a map is told; `folder` is where all of them write."""

    sys_path: list[str]
    hosted: Hosted
    device: str | None
    cache_size: int
    source: Source
    text: str | None
    folder: str
    parts: Parts
    on: str
    parameters: dict[str, Any]
    request_size: int


class PartWorker:
    """Does parts.

    Args:
        told: What to do, as msgpack.
    """

    def __init__(self, told: bytes) -> None:
        self._told = msgspec.msgpack.decode(told, type=Told)
        self._node = socket.gethostname()
        self._failed: DureError | None = None
        self._held = contextlib.ExitStack()
        try:
            self._start(self._told)
        except Exception as error:  # noqa: BLE001 - user code; told with the first part
            self._failed = _not_started(error, self._where())

    def _start(self, told: Told) -> None:
        sys.path.extend(path for path in told.sys_path if path not in sys.path)
        if read_manifest(Path(told.folder)) is None:
            raise SpecError(
                f"{told.folder} holds no {MANIFEST} here: all nodes must share the storage of input and output"
            )
        counters = Counters(self._held.enter_context(transfers()))
        executor = constructed(told.hosted, told.device, 0, 1)
        self._held.callback(executor.close)
        executor.warm_up()
        _check_endpoint(executor, told.on)
        cache = AnswerCache(told.cache_size) if told.cache_size else None
        self._runner = Runner(executor, told.hosted.name, counters, cache)
        self._reader = self._held.enter_context(contextlib.closing(Reader(told.source, told.text)))
        self._loop = self._held.enter_context(contextlib.closing(asyncio.new_event_loop()))
        self._folder = OutputFolder(Path(told.folder), told.parts)
        self._parameters = encode_parameters(told.parameters)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Do the parts whose numbers are the batch's `item`; return a row for each."""
        rows = [self._row(int(number)) for number in batch["item"]]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def close(self) -> None:
        """Close the Executor, and what else is open."""
        self._held.close()

    def __del__(self) -> None:
        self.close()  # Ray lets go of it when the map ends

    def _row(self, number: int) -> dict[str, Any]:
        began = time.perf_counter()
        part = self._told.parts.part(number)
        error = self._failed
        if error is None:
            try:
                self._do(part)
            except DureError as failure:
                error = failure
        told = "" if error is None else msgspec.json.encode(to_wire(error)).decode()
        return {"part": number, "elapsed_time_s": time.perf_counter() - began, "node": self._node, "error": told}

    def _do(self, part: Part) -> None:
        if self._folder.file(part).exists():
            return  # it was done before its worker died
        if self._folder.begin(part) > MAX_ATTEMPTS:
            raise WorkerCrashed(f"{part}: {MAX_ATTEMPTS} workers died while they did it")
        documents = self._reader.read(part)
        size = self._told.request_size
        answers = Answers(part, documents, size)
        full, rest = divmod(len(documents), size)
        for request in split(documents, [size] * full + ([rest] if rest else [])):
            try:
                answers.add(self._answer(request))
            except DureError as error:
                raise located(error, f"{answers.where()}, on {self._where()}") from error
        self._folder.write(part, answers.whole())

    def _answer(self, documents: DocumentArray) -> DocumentArray:
        pieces = encode_form(COLUMNS, documents)
        body = bytearray().join(pieces)
        call = BatchCall(self._told.on, self._parameters, False, [Item(COLUMNS, len(documents), [length(pieces)])])
        outcome, payload = self._run(call, body)
        if self._runner.lost:
            os._exit(1)  # the device is lost to this process: another one does the part again
        if outcome.failed:
            raise from_wire(decode_error(b"".join(payload)))
        return decode_form(COLUMNS, b"".join(payload))

    def _run(self, call: BatchCall, body: bytearray) -> Answer:
        endpoint = self._runner.endpoint(call.endpoint)
        spent = Spent()
        if endpoint is not None and endpoint.streaming:
            return self._loop.run_until_complete(self._streamed(call, body))
        if endpoint is not None and endpoint.asynchronous:
            return self._loop.run_until_complete(self._runner.run_async(call, body, spent))[0]
        return self._runner.run(call, body, spent)[0]

    async def _streamed(self, call: BatchCall, body: bytearray) -> Answer:
        answers = [answer async for answer in self._runner.stream(call, body, Spent())]
        outcome, pieces = answers[-1]
        if not isinstance(outcome, Outcome):
            raise DecodeError("a method that yields came to no end")
        return outcome, pieces

    def _where(self) -> str:
        return f"node {self._node} (process {os.getpid()})"


def _check_endpoint(executor: Executor, on: str) -> None:
    known = executor.requests
    if on not in known and DEFAULT not in known:
        raise EndpointNotFound(f"no method answers {on!r}.{suggest(on, known)} There are: {', '.join(known)}.")


def _not_started(error: Exception, where: str) -> DureError:
    """Return why there is no Executor on a node; of a module that is missing, which one."""
    if isinstance(error, DureError):
        return located(error, where)
    if isinstance(error, ModuleNotFoundError):
        return SpecError(f"{where}: the Executor's code needs the module {error.name!r}, which is not there; {_PUT}")
    return StartFailed(f"{where}: the Executor cannot be made: {type(error).__qualname__}: {error}")


_PUT = "install it on every node, or put its folder on storage that all nodes share and on their PYTHONPATH"
