"""Devices through a running Flow: who sees which, what moved, and what happens when one is lost.

The GPUs are simulated, which the workers inherit; a test of a real one skips where there is none.
"""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dure import Client, Document, DocumentArray, Executor, Flow, batching, nd, requests
from dure.backends import inquiry, supervisor
from dure.device.context import Context, cpu, gpu
from dure.device.simulated import SimulatedDevice, simulated_gpus
from dure.errors import BackendError, DeviceLost, DeviceNotFound, DeviceOutOfMemory, ExecutorError, WorkerCrashed
from tests.contract.worlds import why_no_gpu
from tests.e2e import probe as probe_module
from tests.e2e.probe import Probe

GIB = 2**30


@pytest.fixture(autouse=True)
def gpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[Context, SimulatedDevice]]:
    monkeypatch.setenv("DURE_ARRAY_LIBRARY", "numpy")  # workers that import PyTorch take seconds to start
    with simulated_gpus(2) as devices:
        yield devices


def probe(**settings: Any) -> Flow:
    return Flow().add(uses=Probe, name="probe", timeout_ready_s=20, **settings)


def where(flow: Flow, replicas: int) -> dict[int, Document]:
    """One answer of each replica, by process id."""
    found: dict[int, Document] = {}
    deadline = time.monotonic() + 20
    while len(found) < replicas:
        assert time.monotonic() < deadline
        for doc in flow.post("/where", ["x"] * 8, request_size=1):
            found[doc.tags["pid"]] = doc
    return found


# -- placement ---------------------------------------------------------------------------------------------------------


def test_auto_gives_each_replica_a_gpu_of_its_own() -> None:
    with probe(device="auto", replicas=2) as flow:
        assert [str(p.context) for p in flow.plan().placements] == ["gpu(0)", "gpu(1)"]
        answers = where(flow, 2).values()
    assert [(doc.text, doc.tags["device"], doc.tags["gpus"]) for doc in answers] == [("gpu(0)", "cuda", 1)] * 2
    assert {doc.tags["visible"] for doc in answers} == {"0", "1"}


def test_a_list_is_taken_in_turn() -> None:
    with probe(device=["gpu:1", "cpu"], replicas=2) as flow:
        answers = where(flow, 2)
        by_name = {name: answers[pid] for name, pid in flow.pids().items() if name != "gateway"}
    first, second = by_name["probe/0"], by_name["probe/1"]
    assert (first.text, first.tags["visible"], first.tags["gpus"]) == ("gpu(0)", "1", 1)
    assert (second.text, second.tags["visible"], second.tags["gpus"]) == ("cpu(0)", "", 0)


def test_the_constructor_may_be_told_a_device() -> None:
    with probe(uses_with={"device": "cuda:1"}) as flow:
        (doc,) = where(flow, 1).values()
    assert (doc.text, doc.tags["visible"], doc.tags["gpus"]) == ("gpu(1)", "all", 2)


def nothing_starts(flow: Flow, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(supervisor, "ChildProcess", start)
    with pytest.raises(error, match=message):
        flow.start()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"device": "gpu:7"},
            DeviceNotFound,
            r"gpu\(7\) is not on this machine.*Present: cpu\(0\), gpu\(0\), gpu\(1\)",
        ),
        ({"device": ["gpu:0", "gpu:2"], "replicas": 2}, DeviceNotFound, r"gpu\(2\) is not on this machine"),
        ({"device": "cudda"}, DeviceNotFound, "Did you mean 'cuda'"),
        ({"device": "gpu:-1"}, DeviceNotFound, "starts at 0"),
        ({"device": "gpu", "device_memory": "9GiB", "replicas": 3}, DeviceOutOfMemory, "9.00 GiB do not fit on gpu"),
        ({"device": "gpu:0", "device_memory": 0.6, "replicas": 2}, DeviceOutOfMemory, "9.60 GiB do not fit"),
    ],
)
def test_a_plan_that_cannot_be_kept_is_refused(
    settings: dict[str, Any], error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_starts(probe(**settings), error, message, monkeypatch)


def test_a_device_told_to_the_constructor_that_is_not_there() -> None:
    class Eager(Probe):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            nd.ones(1, self.device)

    with pytest.raises(DeviceNotFound, match=r"gpu\(7\) is not on this machine"):
        Flow().add(uses=Eager, uses_with={"device": "cuda:7"}, timeout_ready_s=20).start()


def test_dure_plan_prints_it(tmp_path: Path) -> None:
    (tmp_path / "flow.yml").write_text(
        "jtype: Flow\nexecutors:\n- {name: one, uses: no_such.Module, device: auto, replicas: 2, device_memory: 2GiB}\n"
    )
    command = [sys.executable, "-m", "dure.cli.main", "plan", "flow.yml"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert run.returncode == 0, run.stderr
    head, *rows, cores = run.stdout.splitlines()
    assert head.split() == ["executor", "replica", "device", "memory", "threads", "why"]
    assert [row.split()[:5] for row in rows] == [
        ["one", "0", "gpu(0)", "2.00", "GiB"],
        ["one", "1", "gpu(1)", "2.00", "GiB"],
    ]
    assert "for 2 calls at a time" in cores


# -- figures -----------------------------------------------------------------------------------------------------------


def embedded(count: int) -> DocumentArray:
    return DocumentArray(Document(embedding=np.ones(4, np.float32)) for _ in range(count))


def test_figures_are_those_of_each_replica() -> None:
    with probe(device=["gpu:1", "gpu:0"], replicas=2) as flow:
        where(flow, 2)
        found = flow.post("/double", embedded(60), request_size=10)
        assert found.embeddings.tolist() == [[2] * 4] * 60
        figures = flow.metrics()
    assert list(figures) == ["probe/0", "probe/1"]
    moved = {}
    for label, context in (("probe/0", gpu(1)), ("probe/1", gpu(0))):
        ledger = figures[label].transfers
        moved[label] = ledger.between(cpu(), context).num_bytes
        assert moved[label] == ledger.between(context, cpu()).num_bytes == ledger.num_bytes / 2
        assert figures[label].num_calls == figures[label].num_requests
        assert 0 < figures[label].compute_s < 20
    assert sum(moved.values()) == 60 * 16
    wheres = {route.where for one in figures.values() for route in one.transfers.routes}
    assert {place.rpartition(":")[0] for place in wheres} == {"", probe_module.__file__}
    assert "the answer of probe at /double" in wheres


def test_two_executors_of_a_flow_are_told_apart() -> None:
    flow = Flow().add(uses=Probe, name="first", device="gpu", timeout_ready_s=20)
    with flow.add(uses=Probe, name="second", device="gpu", timeout_ready_s=20) as flow:
        flow.post("/double", embedded(10))
        figures = flow.metrics()
        assert figures["first"].transfers.between(gpu(0), cpu()).num_bytes == 160
        assert figures["second"].transfers.between(gpu(1), cpu()).num_bytes == 160
        assert [one.num_documents for one in figures.values()] == [10, 10]
        assert "the answer of second at /double" in str(figures["second"])


def test_figures_are_told_while_a_method_computes() -> None:
    with probe() as flow:
        caller = threading.Thread(target=flow.post, args=("/sleep", ["1.5"]))
        caller.start()
        time.sleep(0.3)
        begin = time.monotonic()
        figures = flow.metrics()["probe"]
        took_s = time.monotonic() - begin
        caller.join()
        assert took_s < 1
        assert (figures.num_calls, figures.num_requests) == (0, 0), "a batch is counted when it is served"
        figures = flow.metrics()["probe"]
    assert (figures.num_calls, figures.num_requests, figures.num_documents) == (1, 1, 1)
    assert 1.4 < figures.compute_s < 5


def test_a_replica_that_cannot_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(Executor):
        @requests
        def work(self, docs: DocumentArray, **kwargs: Any) -> None:
            sum(range(10**8))  # one call of C that lets no other thread run

    monkeypatch.setattr(inquiry, "_ANSWER_S", 0.3)
    with Flow().add(uses=Deaf, name="deaf", timeout_ready_s=20) as flow:
        caller = threading.Thread(target=flow.post, args=("/", ["x"]))
        caller.start()
        time.sleep(0.2)
        with pytest.raises(BackendError, match=r"deaf: no figures within 0\.3 s"):
            flow.metrics()
        caller.join()
        monkeypatch.setattr(inquiry, "_ANSWER_S", 10.0)
        assert flow.metrics()["deaf"].num_requests == 1
    with pytest.raises(BackendError, match="does not run"):
        flow.metrics()


def test_many_may_ask_at_once() -> None:
    with probe(replicas=2) as flow:
        found: list[Any] = []
        askers = [threading.Thread(target=lambda: found.append(flow.metrics())) for _ in range(8)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
    assert [list(figures) for figures in found] == [["probe/0", "probe/1"]] * 8


# -- lost devices ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["native", "grpc"])
@pytest.mark.parametrize("endpoint", ["/lose", "/lose_async", "/lose_parts"])
def test_a_worker_whose_device_is_lost_is_replaced(
    protocol: Any, endpoint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with probe(device="gpu:1") as flow, Client(port=flow.port, protocol=protocol) as client:
        before = client.post("/pid", "x")[0].tags
        with pytest.raises(DeviceLost, match=rf"probe failed at {endpoint}: gpu\(0\) is lost: an injected fault"):
            client.post(endpoint, "x")
        after = client.post("/pid", "x")[0].tags
        assert before["served"] == after["served"] == 1
        assert before["pid"] != after["pid"] == flow.pids()["probe"]
        assert flow.metrics()["probe"].num_requests == 1
    assert "This process ends, and another takes its place" in capfd.readouterr().err


def test_what_had_not_begun_is_answered_by_the_new_process() -> None:
    with probe(device="gpu") as flow:
        first = flow.post("/pid", "x")[0].tags["pid"]
        lost: list[BaseException] = []
        answers: list[Any] = []

        def lose() -> None:
            try:
                flow.post("/lose", "x")
            except DeviceLost as error:
                lost.append(error)

        callers = [threading.Thread(target=lose)]
        callers += [threading.Thread(target=lambda: answers.extend(flow.post("/pid", "x"))) for _ in range(6)]
        for caller in callers:
            caller.start()
            time.sleep(0.02)  # the loss is begun, and the others wait: one of them in the worker's socket
        for caller in callers:
            caller.join()
    assert len(lost) == 1
    assert len(answers) == 6
    assert {doc.tags["pid"] for doc in answers}.isdisjoint({first})
    assert sorted(doc.tags["served"] for doc in answers) == [1, 2, 3, 4, 5, 6]


def test_a_merged_batch_is_lost_as_a_whole() -> None:
    class Merged(Probe):
        @requests(on="/lose")
        @batching(max_batch_size=8)
        def lose_all(self, docs: DocumentArray, **kwargs: Any) -> None:
            self.lose(docs)

        @requests(on="/sleep")
        def wait(self, docs: DocumentArray, **kwargs: Any) -> None:
            time.sleep(0.3)

    with Flow().add(uses=Merged, name="merged", device="gpu", timeout_ready_s=20) as flow:
        waiter = threading.Thread(target=flow.post, args=("/sleep", ["x"]))
        waiter.start()
        time.sleep(0.1)
        results = flow.post("/lose", ["x"] * 4, request_size=1, continue_on_error=True)
        waiter.join()
        assert [type(failure.error) for failure in results.failures] == [DeviceLost] * 4
        assert flow.post("/pid", "x")[0].tags["served"] == 1


def test_only_a_sticky_error_of_cuda_costs_the_process() -> None:
    with probe(device="gpu") as flow:
        first = flow.post("/pid", "x")[0].tags["pid"]
        with pytest.raises(ExecutorError, match="out of memory"):
            flow.post("/raise", "CUDA error: out of memory")
        assert flow.post("/pid", "x")[0].tags["pid"] == first
        with pytest.raises(DeviceLost, match="a CUDA device is lost: device-side assert"):
            flow.post("/raise", "CUDA error: device-side assert triggered")
        assert flow.post("/pid", "x")[0].tags["pid"] != first


def test_calls_beside_a_lost_one_end_with_the_process() -> None:
    class Beside(Probe):
        @requests(on="/wait")
        async def wait(self, docs: DocumentArray, **kwargs: Any) -> None:
            await asyncio.sleep(30)

    with Flow().add(uses=Beside, name="beside", device="gpu", timeout_ready_s=20) as flow:
        failed: list[BaseException] = []

        def wait() -> None:
            try:
                flow.post("/wait", "x")
            except WorkerCrashed as error:
                failed.append(error)

        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.2)
        with pytest.raises(DeviceLost):
            flow.post("/lose", "x")
        waiter.join(10)
        assert len(failed) == 1


@pytest.fixture
def real_gpu() -> Iterator[None]:
    # A patch of its own, undone before the simulation around it ends: undone after it, it would bring it back.
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DURE_SIMULATE_GPUS", "DURE_ARRAY_LIBRARY"):
            patch.setenv(name, "")
        if why := why_no_gpu():
            pytest.skip(why)
        yield


@pytest.mark.usefixtures("real_gpu")
def test_a_real_gpu_that_is_lost() -> None:
    class Real(Probe):
        @requests(on="/lose")
        def lose_really(self, docs: DocumentArray, **kwargs: Any) -> None:
            import torch

            docs.embeddings = torch.zeros(4, device="cuda")[torch.full((1, 2), 99, device="cuda")]

    with Flow().add(uses=Real, name="real", device="gpu", timeout_ready_s=60) as flow:
        flow.post("/double", embedded(3))
        before = flow.post("/pid", "x")[0].tags["pid"]
        with pytest.raises(DeviceLost, match="device-side assert"):
            flow.post("/lose", "x")
        assert flow.post("/pid", "x")[0].tags["pid"] != before
        assert flow.post("/double", embedded(3)).embeddings.tolist() == [[2] * 4] * 3
