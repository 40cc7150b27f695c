"""Requests that are merged, refused, put in order and given up: real processes, over both protocols."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from dure import AsyncClient, Client, Document, DocumentArray, Executor, Flow, batching, requests
from dure.client.results import Results
from dure.document import dure_pb2 as pb
from dure.errors import DeadlineExceeded, DeviceOutOfMemory, ExecutorError, QueueFull, ValidationError
from tests.contract.services import lines

PROTOCOLS = pytest.mark.parametrize("protocol", ["native", "grpc"])
LETTERS = "tests.unit.gateway.costs:letters"


class Kitchen(Executor):
    """Notes with how many others a document came."""

    def __init__(self, path: str = "/dev/null", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._path = Path(path)

    @requests(on="/hold")
    @batching(max_batch_size=1)
    def hold(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        """Keep the replica busy, so that requests gather."""
        self.log(docs)
        time.sleep(parameters["seconds"])

    @requests(on="/plain")
    def plain(self, docs: DocumentArray, **kwargs: Any) -> None:
        if "poison" in docs.texts:
            raise ValueError("poison")
        self.log(docs)
        for doc in docs:
            doc.tags["together"] = len(docs)

    @requests(on="/fewer")
    def fewer(self, docs: DocumentArray, **kwargs: Any) -> DocumentArray:
        return docs[::2]

    @requests(on="/own")
    def own(self, docs: DocumentArray, **kwargs: Any) -> DocumentArray:
        return DocumentArray(Document(text=f"{docs.texts[0]} {i}") for i in range(3))

    @requests(on="/dict")
    def told(self, docs: DocumentArray, **kwargs: Any) -> dict[str, Any]:
        return {"rows": len(docs)}

    @requests(on="/wrong")
    @batching(max_batch_size=8)
    def wrong(self, docs: DocumentArray, **kwargs: Any) -> DocumentArray:
        return docs[::2]

    @requests(on="/log")
    @batching(max_batch_size=1)
    def log(self, docs: DocumentArray, **kwargs: Any) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(f"{doc.text}\n" for doc in docs)

    @requests(on="/memory")
    def memory(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        if len(docs) > parameters["most"]:
            raise MemoryError(f"{len(docs)} do not fit")

    @requests(on="/tokens")
    @batching(cost="tokens", max_batch_cost=40)
    def tokens(self, docs: DocumentArray, **kwargs: Any) -> None:
        self.plain(docs)

    @requests(on="/bytes")
    @batching(cost="bytes", max_batch_cost=1000)
    def bytes(self, docs: DocumentArray, **kwargs: Any) -> None:
        self.plain(docs)

    @requests(on="/letters")
    @batching(cost=LETTERS, max_batch_cost=200)
    def letters(self, docs: DocumentArray, **kwargs: Any) -> None:
        self.plain(docs)

    @requests(on="/delayed")
    @batching(max_batch_size=4, max_queue_delay_s=0.3)
    def delayed(self, docs: DocumentArray, **kwargs: Any) -> None:
        self.plain(docs)


def kitchen(path: Path, **settings: Any) -> Flow:
    return Flow().add(uses=Kitchen, name="kitchen", uses_with={"path": str(path)}, timeout_ready_s=20, **settings)


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with kitchen(tmp_path_factory.mktemp("kitchen") / "log") as running:
        yield running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def fresh(path: Path) -> Iterator[Flow]:
    """A Flow that has measured nothing yet."""
    with kitchen(path) as running:
        yield running


@contextmanager
def held(flow: Flow, seconds: float = 0.4) -> Iterator[None]:
    """Keep the replica busy for a time; leave when it is free again."""
    holder = threading.Thread(target=flow.post, args=("/hold", "hold"), kwargs={"parameters": {"seconds": seconds}})
    holder.start()
    time.sleep(0.1)
    yield
    holder.join()


def gathered(flow: Flow, protocol: Any, on: str, texts: list[str], **options: Any) -> Results:
    """Send requests of one document each, which gather while the replica is busy."""
    with held(flow), Client(port=flow.port, protocol=protocol) as client:
        return client.post(on, [Document(text=text) for text in texts], request_size=1, **options)


def numbered(count: int) -> list[str]:
    return [str(i) for i in range(count)]


def beside(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


# -- merging -----------------------------------------------------------------------------------------------------------


@PROTOCOLS
def test_requests_are_merged_though_nobody_said_so(flow: Flow, protocol: Any) -> None:
    back = gathered(flow, protocol, "/plain", numbered(64))
    assert back.texts == numbered(64)
    assert {doc.tags["together"] for doc in back} == {64}


@PROTOCOLS
def test_of_64_with_one_that_is_poison_one_fails(flow: Flow, protocol: Any) -> None:
    texts = numbered(64)
    texts[37] = "poison"
    before = flow.metrics()["kitchen"].num_calls
    back = gathered(flow, protocol, "/plain", texts, continue_on_error=True)
    (failure,) = back.failures
    assert failure.documents.texts == ["poison"]
    assert isinstance(failure.error, ExecutorError)
    assert failure.error.original_message == "poison"
    assert back.texts == [text for text in texts if text != "poison"]
    assert flow.metrics()["kitchen"].num_calls - before - 1 == 1 + 2 * 6, "one call, then two halves six times"


@PROTOCOLS
@pytest.mark.parametrize(
    ("endpoint", "why", "expected"),
    [
        ("/fewer", "returned 2 documents for 4", [["0"], ["1"], ["2"], ["3"]]),
        ("/own", "returned documents of its own making", [[f"{i} {j}" for j in range(3)] for i in range(4)]),
        ("/dict", "returned a dict, which speaks of all requests", [["0"], ["1"], ["2"], ["3"]]),
    ],
)
def test_what_turns_out_not_to_be_mergeable_is_not_merged_any_more(
    fresh: Flow, protocol: Any, endpoint: str, why: str, expected: list[list[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        back = gathered(fresh, protocol, endpoint, numbered(4))
        assert back.texts == [text for texts in expected for text in texts]
        if endpoint == "/dict":
            assert back.parameters == {"__results__": {"kitchen": {"rows": 1}}}
    warned = capfd.readouterr().err
    assert warned.count("was called for several requests at once") == 1
    assert why in warned
    assert "@batching(max_batch_size=1) says so from the start" in warned


@PROTOCOLS
def test_who_asks_for_merging_must_give_back_what_came(flow: Flow, protocol: Any) -> None:
    back = gathered(flow, protocol, "/wrong", numbered(4), continue_on_error=True)
    assert len(back.failures) == 4
    assert {type(failure.error) for failure in back.failures} == {ExecutorError}
    assert "returned 2 documents for 4; requests are merged here (max_batch_size)" in str(back.error)
    with Client(port=flow.port, protocol=protocol) as client:
        assert client.post("/wrong", ["a", "b", "c"]).texts == ["a", "c"], "of one request it may be anything"


@PROTOCOLS
def test_a_batch_is_halved_once_where_memory_does_not_suffice(flow: Flow, protocol: Any) -> None:
    before = flow.metrics()["kitchen"].num_calls
    assert gathered(flow, protocol, "/memory", numbered(64), parameters={"most": 40}).texts == numbered(64)
    assert flow.metrics()["kitchen"].num_calls - before == 1 + 3
    back = gathered(flow, protocol, "/memory", numbered(64), parameters={"most": 8}, continue_on_error=True)
    assert len(back.failures) == 64
    assert all(isinstance(failure.error, DeviceOutOfMemory) for failure in back.failures)
    assert back.error is not None
    assert back.error.retryable
    assert "32 do not fit" in str(back.error)
    assert flow.metrics()["kitchen"].num_calls - before == 2 * (1 + 3)


# -- cost --------------------------------------------------------------------------------------------------------------


@PROTOCOLS
@pytest.mark.parametrize(("endpoint", "together"), [("/tokens", 2), ("/letters", 3)])
def test_a_batch_costs_no_more_than_it_may(flow: Flow, protocol: Any, endpoint: str, together: int) -> None:
    back = gathered(flow, protocol, endpoint, ["x" * 64] * 12)  # of 18 tokens
    assert {doc.tags["together"] for doc in back} == {together}


@PROTOCOLS
def test_by_bytes_as_well(flow: Flow, protocol: Any) -> None:
    back = gathered(flow, protocol, "/bytes", ["x" * 300] * 12)
    assert {doc.tags["together"] for doc in back} == {2}


@PROTOCOLS
@pytest.mark.parametrize("endpoint", ["/tokens", "/bytes", "/letters"])
def test_a_document_dearer_than_a_batch_is_refused(flow: Flow, protocol: Any, endpoint: str) -> None:
    with Client(port=flow.port, protocol=protocol) as client:
        with pytest.raises(ValidationError, match="a whole batch may cost"):
            client.post(endpoint, "x" * 2000)
        assert client.post(endpoint, "x").texts == ["x"]


@PROTOCOLS
def test_a_replica_waits_for_company_where_it_is_told_to(flow: Flow, protocol: Any) -> None:
    with Client(port=flow.port, protocol=protocol) as client:
        begin = time.monotonic()
        assert client.post("/delayed", "alone")[0].tags["together"] == 1
        assert 0.29 < time.monotonic() - begin < 3
        back = client.post("/delayed", numbered(8), request_size=1)
        assert {doc.tags["together"] for doc in back} == {4}


# -- deadlines ---------------------------------------------------------------------------------------------------------


@PROTOCOLS
def test_a_request_that_expires_while_it_waits_is_never_begun(fresh: Flow, path: Path, protocol: Any) -> None:
    with held(fresh), Client(port=fresh.port, protocol=protocol) as client:
        begin = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=r"no answer within 0\.1 s \(timeout_s\)"):
            client.post("/log", "late", timeout_s=0.1)
        assert time.monotonic() - begin < 0.3
        assert client.post("/log", "in time", timeout_s=20).texts == ["in time"]
    assert lines(path) == ["hold", "in time"]


@PROTOCOLS
def test_a_deadline_that_is_past_already(fresh: Flow, path: Path, protocol: Any) -> None:
    with Client(port=fresh.port, protocol=protocol) as client:
        with pytest.raises(DeadlineExceeded):
            client.post("/log", "past", timeout_s=1e-9)
        client.post("/log", "now")
    assert lines(path) == ["now"]


def test_the_deadline_of_grpc_itself(fresh: Flow, path: Path) -> None:
    with held(fresh), grpc.insecure_channel(f"127.0.0.1:{fresh.port}") as channel:
        post: Any = channel.unary_unary("/dure.v1.Flow/Post", pb.Request.SerializeToString, pb.Reply.FromString)
        request = pb.Request(endpoint="/log", documents=pb.Documents(rows=1, text=["late"]))
        with pytest.raises(grpc.RpcError) as caught:
            post(request, timeout=0.1)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    fresh.post("/log", "later")
    assert lines(path) == ["hold", "later"]


@PROTOCOLS
def test_a_hundred_callers_that_vanish_cost_a_batch_at_most(fresh: Flow, path: Path, protocol: Any) -> None:
    async def ask(number: int) -> None:
        async with AsyncClient(port=fresh.port, protocol=protocol) as client:
            await client.post("/plain", f"vanished {number}")

    async def vanish() -> None:
        callers = [asyncio.create_task(ask(number)) for number in range(100)]
        await asyncio.sleep(0.6)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)

    with held(fresh, 2):
        asyncio.run(vanish())
    assert fresh.post("/plain", "here").texts == ["here"]
    assert [line for line in lines(path) if not line.startswith("vanished")] == ["hold", "here"]
    assert len(lines(path)) <= 64 + 2


# -- priorities, explanations, refusals --------------------------------------------------------------------------------


@PROTOCOLS
def test_the_higher_priority_first(fresh: Flow, path: Path, protocol: Any) -> None:
    with held(fresh), Client(port=fresh.port, protocol=protocol) as client:
        callers = []
        for text, priority in (("filler", 0), ("low", -1), ("normal", 0), ("high", 5)):
            callers.append(beside(partial(client.post, "/log", text, priority=priority)))
            time.sleep(0.03)
    for caller in callers:
        caller.join()
    assert lines(path) == ["hold", "filler", "high", "normal", "low"], "one waits in the worker's socket already"


def test_where_calls_are_long_nothing_waits_in_the_worker_that_could_wait_here(fresh: Flow, path: Path) -> None:
    for _ in range(4):
        fresh.post("/hold", "warm", parameters={"seconds": 0.3})
    callers = []
    for text, priority in (("first", 0), ("low", 0), ("high", 5)):
        callers.append(beside(partial(fresh.post, "/hold", text, parameters={"seconds": 0.3}, priority=priority)))
        time.sleep(0.03)
    for caller in callers:
        caller.join()
    assert lines(path) == ["warm"] * 4 + ["first", "high", "low"]


@PROTOCOLS
def test_an_answer_tells_how_it_came_about_if_asked(flow: Flow, protocol: Any) -> None:
    begin = time.monotonic()
    back = gathered(flow, protocol, "/plain", numbered(3), explain=True)
    took_s = time.monotonic() - begin
    assert len(back.served) == 3
    for told in back.served:
        served = told["kitchen"]
        assert (served.replica, served.batch_requests, served.batch_rows) == (0, 3, 3)
        assert 0.1 < served.queue_s < took_s
        assert served.queue_s + served.wait_s + served.compute_s + served.serialize_s < took_s
        assert min(served.wait_s, served.compute_s, served.serialize_s) >= 0
        assert served.compute_s > 0
    with Client(port=flow.port, protocol=protocol) as client:
        assert client.post("/plain", "x").served == []


@PROTOCOLS
def test_a_full_queue_says_when_to_come_again(path: Path, protocol: Any) -> None:
    with kitchen(path, max_queue_size=2) as flow:
        back = gathered(flow, protocol, "/log", numbered(8), continue_on_error=True)
        assert len(back.failures) >= 4
        assert len(back) + len(back.failures) == 8
        for failure in back.failures:
            assert isinstance(failure.error, QueueFull)
            assert 0.1 <= failure.error.retry_after_s <= 30
            assert failure.error.retryable
            assert "requests wait for kitchen (max_queue_size=2); try again in" in str(failure.error)
        assert sorted(lines(path)) == sorted(["hold", *back.texts]), "who is refused is not served"


@PROTOCOLS
def test_a_deadline_that_can_be_kept_is_not_refused(fresh: Flow, protocol: Any) -> None:
    """Though calls of one document each are all that was seen, many documents take no longer in one call."""
    with Client(port=fresh.port, protocol=protocol) as client:
        client.post("/hold", ["x"] * 6, request_size=1, parameters={"seconds": 0.05})
        back = client.post("/plain", numbered(64), request_size=1, timeout_s=1.0)
    assert back.texts == numbered(64)


# -- unequal replicas --------------------------------------------------------------------------------------------------


class Uneven(Executor):
    """Takes its time for each document: the first replica three times as long."""

    def __init__(self, slow: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        is_slow = self.runtime_args.replica == 0 if slow is None else slow
        self._row_s = 0.012 if is_slow else 0.004

    @requests
    def work(self, docs: DocumentArray, **kwargs: Any) -> None:
        time.sleep(self._row_s * len(docs))


def rate(flow: Flow, count: int) -> float:
    with flow, Client(port=flow.port, max_in_flight=256) as client:
        client.post("/", numbered(64), request_size=1)
        begin = time.perf_counter()
        assert len(client.post("/", numbered(count), request_size=1)) == count
        return count / (time.perf_counter() - begin)


@pytest.mark.slow
def test_two_unequal_replicas_are_both_kept_busy() -> None:
    alone = [rate(Flow().add(uses=Uneven, uses_with={"slow": slow}), 500) for slow in (True, False)]
    both = rate(Flow().add(uses=Uneven, replicas=2), 2000)
    assert both >= 0.9 * sum(alone), f"{both:.0f} documents a second, alone {alone[0]:.0f} and {alone[1]:.0f}"
