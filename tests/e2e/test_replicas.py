"""How requests are put together and spread: replicas, merged calls, coroutines."""

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dure import Client, Document, DocumentArray, Executor, Flow, batching, requests
from dure.errors import ExecutorError


class Many(Executor):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.running = self.most = self.calls = 0

    @requests(on="/who")
    def who(self, docs: DocumentArray, **kwargs: Any) -> None:
        time.sleep(0.005)
        for doc in docs:
            doc.tags["replica"] = self.runtime_args.replica
            doc.tags["pid"] = os.getpid()

    @requests(on="/merged")
    @batching(max_batch_size=10)
    def merged(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        """Note with how many others a document came; fail for a bad one."""
        self.calls += 1
        time.sleep(0.02)
        if "bad" in docs.texts:
            raise ValueError(f"bad among {len(docs)}")
        for doc in docs:
            doc.tags |= {"together": len(docs), "call": self.calls, "parameters": parameters}

    @requests(on="/one_too_many")
    @batching(max_batch_size=10)
    def one_too_many(self, docs: DocumentArray, **kwargs: Any) -> DocumentArray:
        time.sleep(0.02)
        return DocumentArray([*docs, Document()])

    @requests(on="/concurrent")
    async def concurrent(self, docs: DocumentArray, **kwargs: Any) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.05)
        self.running -= 1
        docs[0].tags["most"] = self.most


@pytest.fixture(scope="module")
def flow() -> Iterator[Flow]:
    with Flow().add(uses=Many, name="many", replicas=2, timeout_ready_s=20) as running:
        yield running


@pytest.fixture(scope="module")
def single() -> Iterator[Flow]:
    with Flow().add(uses=Many, name="many", timeout_ready_s=20) as running:
        yield running


def numbered(count: int) -> list[Document]:
    return [Document(text=str(i)) for i in range(count)]


def test_replicas_share_the_work(flow: Flow) -> None:
    back = flow.post("/who", numbered(60), request_size=1)
    counts = [sum(doc.tags["replica"] == replica for doc in back) for replica in (0, 1)]
    assert min(counts) >= 15
    assert {doc.tags["pid"] for doc in back} == {pid for name, pid in flow.pids().items() if name != "gateway"}


def test_requests_are_merged_up_to_the_limit(single: Flow) -> None:
    back = single.post("/merged", numbered(40), request_size=2)
    assert back.texts == [str(i) for i in range(40)]
    assert {doc.tags["together"] for doc in back} <= {2, 4, 6, 8, 10}
    assert max(doc.tags["together"] for doc in back) == 10


def test_a_request_larger_than_the_limit_goes_alone(single: Flow) -> None:
    back = single.post("/merged", numbered(30), request_size=15)
    assert {doc.tags["together"] for doc in back} == {15}


def test_requests_with_different_parameters_are_never_merged(single: Flow) -> None:
    import threading

    back: list[Any] = []

    def post(name: str) -> None:
        with Client(port=single.port) as client:
            back.extend(client.post("/merged", numbered(20), request_size=1, parameters={"who": name}))

    threads = [threading.Thread(target=post, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(back) == 40
    who: dict[int, set[str]] = {}
    for doc in back:
        who.setdefault(doc.tags["call"], set()).add(doc.tags["parameters"]["who"])
    assert {len(names) for names in who.values()} == {1}


@pytest.mark.parametrize("protocol", ["native", "grpc"])
def test_of_merged_requests_only_the_one_at_fault_fails(single: Flow, protocol: Any) -> None:
    docs = numbered(20)
    docs[7].text = "bad"
    with Client(port=single.port, protocol=protocol) as client:
        back = client.post("/merged", docs, request_size=1, continue_on_error=True)
    assert back.texts == [str(i) for i in range(20) if i != 7]
    assert [(failure.start, type(failure.error)) for failure in back.failures] == [(7, ExecutorError)]
    assert "bad among 1" in str(back.error)


def test_protocols_are_merged_together(single: Flow) -> None:
    import threading

    texts: list[list[str]] = []

    def post(protocol: Any) -> None:
        with Client(port=single.port, protocol=protocol) as client:
            texts.append(client.post("/merged", numbered(20), request_size=1).texts)

    threads = [threading.Thread(target=post, args=(protocol,)) for protocol in ("native", "grpc")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [[str(i) for i in range(20)]] * 2


def test_a_merged_call_must_give_back_as_many(single: Flow) -> None:
    back = single.post("/one_too_many", numbered(20), request_size=1, continue_on_error=True)
    merged = [failure for failure in back.failures if "merged here" in str(failure.error)]
    assert merged
    assert len(back) == 2 * (20 - len(merged)), "alone, a request may be answered with more"


def test_coroutines_run_beside_each_other(single: Flow) -> None:
    begin = time.monotonic()
    back = single.post("/concurrent", numbered(20), request_size=1)
    assert max(doc.tags["most"] for doc in back) == 20
    assert time.monotonic() - begin < 20 * 0.05


def test_batching_of_the_flow_goes_over_that_of_the_class() -> None:
    settings: dict[str, Any] = {"batching": {"max_batch_size": 3}, "timeout_ready_s": 20}
    with Flow().add(uses=Many, name="many", **settings) as flow:
        back = flow.post("/merged", numbered(12), request_size=1)
    assert max(doc.tags["together"] for doc in back) == 3


def test_an_executor_by_itself() -> None:
    with Many() as executor:
        docs = DocumentArray(numbered(2))
        executor.merged(docs, parameters={})
        assert docs[0].tags["together"] == 2
        asyncio.run(executor.concurrent(docs))
        assert docs[0].tags["most"] == 1
