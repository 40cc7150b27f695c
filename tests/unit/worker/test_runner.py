"""What becomes of a batch: what is counted, and what happens where a device is lost. No sockets."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from dure import Document, DocumentArray, Executor, nd, requests
from dure.device.context import cpu, gpu
from dure.device.simulated import simulated_device, simulated_gpus
from dure.device.transfer import transfers
from dure.document import codec
from dure.errors import DeviceLost, DureError, ExecutorError, from_wire
from dure.transport.messages import JOIN, BatchCall, Item, Spent
from dure.worker.metrics import Counters, ReplicaMetrics
from dure.worker.runner import Runner


class Worker(Executor):
    """Does what the endpoint is called after, on a simulated GPU."""

    calls = 0

    @requests(on="/embed")
    def embed(self, docs: DocumentArray, **kwargs: Any) -> None:
        self.calls += 1
        docs.embeddings = nd.ones((len(docs), 2), gpu())

    @requests(on="/number")
    def number(self, docs: DocumentArray, **kwargs: Any) -> None:
        self.calls += 1
        for doc in docs:
            doc.tags["number"] = int(doc.text)

    @requests(on="/odd")
    def odd(self, docs: DocumentArray, **kwargs: Any) -> None:
        for doc in docs:
            doc.tags["value"] = object() if doc.text == "odd" else doc.text

    @requests(on="/lose")
    def lose(self, docs: DocumentArray, **kwargs: Any) -> None:
        self.calls += 1
        y = nd.ones(1, gpu())
        simulated_device(0).lose("a fault of the test")
        try:
            y.asnumpy()
        except DeviceLost as error:
            raise ValueError("the user's own words") from error

    @requests(on="/lose_late")
    def lose_late(self, docs: DocumentArray, **kwargs: Any) -> None:
        """As a kernel that fails after the method has returned."""
        self.embed(docs)
        simulated_device(0).lose("a fault of the test")

    @requests(on="/lose_async")
    async def lose_async(self, docs: DocumentArray, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        self.lose(docs)

    @requests(on="/parts")
    def parts(self, docs: DocumentArray, **kwargs: Any) -> Iterator[Document]:
        for doc in docs:
            doc.embedding = nd.ones(2, gpu())
            yield doc

    @requests(on="/lose_parts")
    async def lose_parts(self, docs: DocumentArray, **kwargs: Any) -> AsyncIterator[Document]:
        yield docs[0]
        self.lose(docs)


class Bench:
    """A runner and what it has counted."""

    def __init__(self) -> None:
        self.executor = Worker()
        with transfers() as self.ledger:
            self.counters = Counters(self.ledger)
        self.runner = Runner(self.executor, "worker", self.counters)

    def figures(self) -> ReplicaMetrics:
        return self.counters.read()

    def ask(self, endpoint: str, *texts: list[str]) -> list[DureError | None]:
        """Send one request per list of texts, merged into one batch; return what became of each."""
        payloads = [b"".join(codec.encode(DocumentArray(Document(text) for text in part))) for part in texts]
        items = [Item("columns", len(part), [len(data)]) for part, data in zip(texts, payloads, strict=True)]
        call, body = BatchCall(endpoint, b"", False, items), bytearray(b"".join(payloads))
        found = self.runner.endpoint(endpoint)
        with transfers() as t:
            if found is not None and found.streaming:
                answers = [asyncio.run(self._last(call, body))]
            elif found is not None and found.asynchronous:
                answers = asyncio.run(self.runner.run_async(call, body, Spent()))
            else:
                answers = self.runner.run(call, body, Spent())
        for route, moved in t.routes.items():
            self.ledger.record(route, moved)
        assert len(answers) == len(texts)
        return [
            from_wire(msgspec.msgpack.decode(b"".join(data))) if outcome.failed else None for outcome, data in answers
        ]

    async def _last(self, call: BatchCall, body: bytearray) -> Any:
        return [answer async for answer in self.runner.stream(call, body, Spent())][-1]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with simulated_gpus(1):
        yield Bench()


def test_calls_requests_documents_and_moves_are_counted(bench: Bench) -> None:
    assert bench.ask("/embed", ["a"]) == [None]
    assert bench.ask("/embed", ["a", "b"], ["c"]) == [None, None]
    figures = bench.figures()
    assert (figures.num_calls, figures.num_requests, figures.num_documents) == (2, 3, 4)
    assert figures.transfers.between(gpu(), cpu()).num_bytes == 4 * 8
    assert [route.where for route in figures.transfers.routes] == ["the answer of worker at /embed"]


def test_a_merged_call_that_fails_is_counted_with_its_halves(bench: Bench) -> None:
    failed = bench.ask("/number", ["1"], ["two"], ["3"])
    assert [type(error) for error in failed] == [type(None), ExecutorError, type(None)]
    figures = bench.figures()
    assert (figures.num_calls, figures.num_requests, figures.num_documents) == (5, 3, 3)
    assert figures.compute_s > 0


def test_an_answer_that_cannot_be_written_fails_alone(bench: Bench) -> None:
    failed = bench.ask("/odd", ["a"], ["odd"], ["b"])
    assert [type(error) for error in failed] == [type(None), ExecutorError, type(None)]
    assert bench.figures().num_calls == 1, "nothing is computed again for it"


def test_what_the_worker_does_itself_is_no_request(bench: Bench) -> None:
    assert bench.ask(JOIN, ["a"]) == [None]
    assert bench.figures().num_requests == 0


def test_the_time_in_which_a_part_waits_is_not_computing(bench: Bench) -> None:
    async def read_slowly() -> None:
        payload = b"".join(codec.encode(DocumentArray([Document("a"), Document("b")])))
        call = BatchCall("/parts", b"", True, [Item("columns", 2, [len(payload)])])
        async for _ in bench.runner.stream(call, bytearray(payload), Spent()):
            await asyncio.sleep(0.1)

    asyncio.run(read_slowly())
    figures = bench.figures()
    assert (figures.num_calls, figures.num_requests, figures.num_documents) == (1, 1, 2)
    assert 0 < figures.compute_s < 0.1


@pytest.mark.parametrize("endpoint", ["/lose", "/lose_late", "/lose_async", "/lose_parts"])
def test_a_lost_device_fails_the_request_and_ends_the_work(bench: Bench, endpoint: str) -> None:
    (error,) = bench.ask(endpoint, ["a"])
    assert isinstance(error, DeviceLost)
    assert str(error).startswith(f"worker failed at {endpoint}: gpu(0) is lost: a fault of the test.")
    assert vars(error)["executor"] == "worker"
    assert "a fault of the test" in vars(error)["remote_traceback"]
    calls = bench.executor.calls
    for later in ("/number", "/lose_async", "/lose_parts"):
        assert [type(error) for error in bench.ask(later, ["1"])] == [DeviceLost]
    assert bench.executor.calls == calls


@pytest.mark.parametrize("endpoint", ["/lose", "/lose_late", "/lose_async"])
def test_a_merged_batch_is_not_tried_again_on_a_lost_device(bench: Bench, endpoint: str) -> None:
    failed = bench.ask(endpoint, ["a"], ["b"], ["c"])
    assert [type(error) for error in failed] == [DeviceLost] * 3
    assert bench.executor.calls == 1
