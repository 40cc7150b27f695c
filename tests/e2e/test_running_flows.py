"""Flows while they run: threads, groups, kept answers, swaps, growing, and workers that hang."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest

from dure import Client, Document, Flow
from dure.errors import BackendError, ExecutorError, SpecError, StartFailed, WorkerCrashed
from dure.flow.plan import THREAD_VARIABLES
from tests.e2e.steps import Cold, Counts, Hands, Hanging, Meeting, Steady, Surroundings, Takes, Versioned

READY_S = 40
PROTOCOLS = ("native", "grpc")


def versioned(version: int = 1, **settings: Any) -> Flow:
    uses_with = {"version": version, "pause_s": settings.pop("pause_s", 0.0)}
    return Flow().add(uses=Versioned, name="one", uses_with=uses_with, timeout_ready_s=READY_S, **settings)


def until(condition: Callable[[], bool], timeout_s: float = READY_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def numbered(count: int, text: str = "") -> list[Document]:
    return [Document(text=text or str(i), id=str(i)) for i in range(count)]


def version_of(flow: Flow) -> Any:
    return flow.post("/version", "?")[0].tags["version"]


# -- threads ----------------------------------------------------------------------------------------------------------


def test_calls_run_beside_each_other_on_one_copy() -> None:
    with Flow().add(uses=Meeting, name="meeting", concurrency=2, timeout_ready_s=READY_S) as flow:
        back = flow.post("/meet", numbered(4), request_size=1)
    assert len({doc.tags["thread"] for doc in back}) == 2
    assert {(doc.tags["pid"], doc.tags["self"]) for doc in back} == {(back[0].tags["pid"], back[0].tags["self"])}
    assert max(doc.tags["seen"] for doc in back) == 4, "what one call counts the other sees"


def test_without_concurrency_a_method_runs_in_the_main_thread() -> None:
    with Flow().add(uses=Meeting, name="meeting", timeout_ready_s=READY_S) as flow:
        assert flow.post("/where", "?")[0].tags == {"main": True}


def test_libraries_are_told_how_many_threads_a_call_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    settings: dict[str, Any] = {"uses": Surroundings, "timeout_ready_s": READY_S}
    flow = Flow().add(name="told", cpu_threads=3, **settings)
    with flow.add(name="own", env={"OMP_NUM_THREADS": "5"}, needs="gateway", **settings) as running:
        told, own = (running.plan().of(name, 0).threads for name in ("told", "own"))
        client = running.post("/threads", "?")
    assert told == 3
    assert own >= 1
    # Branches are joined key by key, the later one last: what it does not say is what the first was told.
    assert client[0].tags == {**dict.fromkeys(THREAD_VARIABLES, "3"), "OMP_NUM_THREADS": "5"}


def test_warm_up_comes_before_the_first_request() -> None:
    with versioned(replicas=2) as flow:
        back = flow.post("/version", numbered(20), request_size=1)
    assert {doc.tags["warm"] for doc in back} == {1}


def test_a_worker_that_cannot_be_warmed_up_does_not_start() -> None:
    with pytest.raises(StartFailed, match="ValueError: too cold") as raised:
        Flow().add(uses=Cold, timeout_ready_s=READY_S).start()
    assert isinstance(raised.value.__cause__, ValueError)


# -- groups -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def group() -> Iterator[Flow]:
    flow = Flow().add(uses=Hands, name="hands", group="both", timeout_ready_s=READY_S)
    with flow.add(uses=Takes, name="takes", group="both") as running:
        yield running


def test_a_group_is_one_process_that_hands_on_the_very_same_documents(group: Flow) -> None:
    (doc,) = group.post("/pass", "?")
    assert set(group.pids()) == {"gateway", "both"}
    assert doc.tags["first"] == doc.tags["second"] == group.pids()["both"]
    assert doc.tags["same"]


@pytest.mark.parametrize(("text", "member"), [("first", "hands"), ("anything", "takes")])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_error_names_the_member(group: Flow, text: str, member: str, protocol: Any) -> None:
    with Client(port=group.port, protocol=protocol) as client, pytest.raises(ExecutorError) as raised:
        client.post("/fail", text)
    assert raised.value.executor == member
    assert member in str(raised.value)


def test_a_member_is_swapped_with_its_group(group: Flow) -> None:
    before = group.pids()["both"]
    group.swap("takes", uses_with={"version": 2})
    until(lambda: group.pids().get("both") != before)
    (doc,) = group.post("/pass", "?")
    assert (doc.tags["version"], doc.tags["same"]) == (2, True)
    with pytest.raises(StartFailed, match="no version -1"):
        group.swap("takes", uses_with={"version": -1})
    assert group.post("/pass", "?")[0].tags["version"] == 2


# -- kept answers -----------------------------------------------------------------------------------------------------


@pytest.fixture
def keeps() -> Iterator[Flow]:
    with Flow().add(uses=Counts, name="counts", cache_size=100, timeout_ready_s=READY_S) as flow:
        yield flow


def test_a_hundred_requests_alike_are_one_call(keeps: Flow) -> None:
    def ask(i: int) -> Document:
        with Client(port=keeps.port) as client:
            return client.post("/count", Document("the same", id=str(i)))[0]

    with ThreadPoolExecutor(100) as pool:
        back = list(pool.map(ask, range(100)))
    assert [doc.id for doc in back] == [str(i) for i in range(100)]
    assert {(doc.tags["calls"], doc.tags["documents"]) for doc in back} == {(1, 1)}


def test_endpoints_and_parameters_have_answers_of_their_own(keeps: Flow) -> None:
    def calls(on: str, parameters: dict[str, Any] | None = None) -> Any:
        return keeps.post(on, "x", parameters=parameters)[0].tags["calls"]

    assert [calls("/count"), calls("/other"), calls("/count", {"p": 1}), calls("/count", {"p": 2})] == [1, 2, 3, 4]
    assert [calls("/count"), calls("/other"), calls("/count", {"p": 1}), calls("/count", {"p": 2})] == [1, 2, 3, 4]


def test_after_a_swap_nothing_old_is_kept(keeps: Flow) -> None:
    assert keeps.post("/count", ["x", "y"])[0].tags["documents"] == 2
    before = keeps.pids()["counts"]
    keeps.swap("counts")
    until(lambda: not psutil.pid_exists(before))
    assert keeps.post("/count", "x")[0].tags["documents"] == 1


# -- swaps ------------------------------------------------------------------------------------------------------------


class Load:
    """Clients that ask without a pause, one over each protocol, and remember every answer."""

    def __init__(self, flow: Flow, on: str = "/version") -> None:
        self._flow, self._on = flow, on
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(protocol,)) for protocol in PROTOCOLS]
        self.answers: dict[str, list[Any]] = {protocol: [] for protocol in PROTOCOLS}
        self.failures: list[BaseException] = []

    def _documents(self) -> Iterator[Document]:
        for i in count():
            if self._over.is_set():
                return
            yield Document(text=str(i))

    def _ask(self, protocol: Any) -> None:
        try:
            with Client(port=self._flow.port, protocol=protocol) as client:
                for i, back in enumerate(client.stream(self._on, self._documents(), request_size=1)):
                    assert back.texts == [str(i)], "each is answered once, in order"
                    self.answers[protocol].append(back[0].tags["version"])
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread
            self.failures.append(error)

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a request was never answered"
        assert self.failures == []


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("num_swaps", "on", "settings"),
    [
        (4, "/version", {}),
        pytest.param(20, "/version", {}, marks=pytest.mark.slow),
        (3, "/version", {"replicas": 2, "batching": {"max_batch_size": 1}}),
        (3, "/version", {"concurrency": 2, "pause_s": 0.01, "batching": {"max_batch_size": 1}}),
        (3, "/async", {"pause_s": 0.01}),
    ],
    ids=["one", "twenty", "replicas", "threads", "coroutines"],
)
def test_no_request_is_lost_in_swaps_under_load(num_swaps: int, on: str, settings: dict[str, Any]) -> None:
    pause_s = settings.get("pause_s", 0.0)
    with versioned(1, **settings) as flow:
        first = set(flow.pids().values()) - {flow.pids()["gateway"]}
        with Load(flow, on) as load:
            for version in range(2, num_swaps + 2):
                flow.swap("one", uses_with={"version": version, "pause_s": pause_s})
            until(lambda: all(answers and answers[-1] == num_swaps + 1 for answers in load.answers.values()))
            until(lambda: not any(map(psutil.pid_exists, first)))
        assert set(flow.pids()) == ({"gateway", "one/0", "one/1"} if "replicas" in settings else {"gateway", "one"})
    for protocol in PROTOCOLS:
        assert load.answers[protocol][-1] == num_swaps + 1


@pytest.mark.parametrize(
    ("version", "message", "cause"),
    [(-3, "could not be constructed: ValueError: no version -3", ValueError), (0, "exited with code 7", type(None))],
)
def test_a_swap_to_what_does_not_start_changes_nothing(version: int, message: str, cause: type) -> None:
    with versioned(1) as flow:
        before = flow.pids()
        with Load(flow) as load:
            for _ in range(2):
                with pytest.raises(StartFailed, match=message) as raised:
                    flow.swap("one", uses_with={"version": version})
                assert type(raised.value.__cause__) is cause
                assert flow.spec.executors[0].uses_with["version"] == 1
            until(lambda: flow.pids() == before)
        assert set(load.answers["native"] + load.answers["grpc"]) == {1}
        flow.swap("one", uses_with={"version": 2})
        until(lambda: version_of(flow) == 2)
        assert flow.spec.executors[0].uses_with == {"version": 2}


def test_a_swap_that_takes_too_long_changes_nothing() -> None:
    with versioned(1) as flow:
        before = flow.pids()
        with pytest.raises(StartFailed, match=r"not ready after 0\.05 s: one \(timeout_ready_s is the limit\)"):
            flow.swap("one", timeout_ready_s=0.05)
        until(lambda: flow.pids() == before)
        assert version_of(flow) == 1


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("on", {}, "swap: 'on' is no Executor of this Flow. Did you mean 'one'. There are: one"),
        ("one", {"replicas": 3}, "swap.replicas: cannot change while the Flow runs"),
        ("one", {"max_queue_size": 3}, "swap.max_queue_size: cannot change"),
        ("one", {"group": "g"}, "swap.group: cannot change"),
        ("one", {"use_with": {}}, "swap.use_with: unknown setting 'use_with'. Did you mean 'uses_with'"),
        ("one", {"concurrency": "x"}, "swap.concurrency: "),
    ],
)
def test_what_cannot_be_swapped_is_said_before_anything_is_started(
    plain: Flow, name: str, settings: dict[str, Any], message: str
) -> None:
    before = plain.pids()
    with pytest.raises(SpecError, match=message):
        plain.swap(name, **settings)
    assert plain.pids() == before


@pytest.fixture(scope="module")
def plain() -> Iterator[Flow]:
    with versioned(1) as flow:
        yield flow


def test_a_flow_that_does_not_run_swaps_nothing() -> None:
    with pytest.raises(BackendError, match="does not run"):
        versioned(1).swap("one")


# -- growing, and hanging ---------------------------------------------------------------------------------------------


def test_replicas_are_added_while_requests_wait_long() -> None:
    flow = versioned(pause_s=0.05, replicas=1, max_replicas=2, batching={"max_batch_size": 1})
    over = threading.Event()
    with flow as running:
        assert set(running.pids()) == {"gateway", "one/0"}

        def load() -> None:
            with Client(port=running.port) as client:
                while not over.is_set():
                    client.post("/version", numbered(200), request_size=1)

        thread = threading.Thread(target=load)
        thread.start()
        try:
            until(lambda: "one/1" in running.pids())
            pid = running.pids()["one/1"]
            until(lambda: "one/1" in running.metrics() and running.metrics()["one/1"].num_requests > 0)
            assert running.pids()["one/1"] == pid
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_worker_that_hangs_is_ended_and_what_it_had_not_begun_is_answered(tmp_path: Path, concurrency: int) -> None:
    settings: dict[str, Any] = {"max_call_s": 1.0, "concurrency": concurrency, "timeout_ready_s": READY_S}
    docs = [Document(f"before {i}") for i in range(5)] + [Document("hang")] + [Document(f"after {i}") for i in range(5)]
    with Flow().add(uses=Hanging, name="hanging", uses_with={"folder": str(tmp_path)}, **settings) as flow:
        before = flow.pids()["hanging"]
        back = flow.post("/work", docs, request_size=1, continue_on_error=True)
        until(lambda: flow.pids().get("hanging", before) != before)
        after = flow.pids()["hanging"]
    assert [type(failure.error) for failure in back.failures] == [WorkerCrashed]
    assert [doc.text for failure in back.failures for doc in failure.documents] == ["hang"]
    assert back.texts == [doc.text for doc in docs if doc.text != "hang"]
    begun = (tmp_path / "begun").read_text(encoding="utf-8").splitlines()
    assert sorted(begun) == sorted(doc.text for doc in docs), "nothing is begun twice"
    if concurrency == 1:
        assert {doc.tags["pid"] for doc in back if doc.text.startswith("after")} == {after}


def test_one_thread_that_hangs_is_noticed_though_the_other_answers(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"max_call_s": 1.0, "concurrency": 2, "timeout_ready_s": READY_S}
    over = threading.Event()
    with Flow().add(uses=Hanging, name="hanging", uses_with={"folder": str(tmp_path)}, **settings) as flow:

        def load() -> None:
            with Client(port=flow.port) as client:
                while not over.is_set():
                    client.post("/work", "steady", continue_on_error=True)

        thread = threading.Thread(target=load)
        thread.start()
        begin = time.monotonic()
        try:
            with pytest.raises(WorkerCrashed):
                flow.post("/work", "hang")
        finally:
            over.set()
            thread.join()
        assert time.monotonic() - begin < READY_S


def test_one_that_takes_leave_may_hang_as_well(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"max_call_s": 3.0, "concurrency": 2, "timeout_ready_s": READY_S}
    with Flow().add(uses=Hanging, name="hanging", uses_with={"folder": str(tmp_path)}, **settings) as flow:
        before = flow.pids()["hanging"]
        with ThreadPoolExecutor(1) as pool:
            hangs = pool.submit(flow.post, "/work", "hang")
            until((tmp_path / "begun").exists)
            flow.swap("hanging")
            until(lambda: flow.post("/work", "goes on")[0].tags["pid"] != before)
            assert isinstance(hangs.exception(READY_S), WorkerCrashed)
        until(lambda: not psutil.pid_exists(before))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_that_goes_on_does_not_hang(protocol: Any) -> None:
    with (
        Flow().add(uses=Steady, max_call_s=1.5, timeout_ready_s=READY_S) as flow,
        Client(port=flow.port, protocol=protocol) as client,
    ):
        assert [part.texts for part in client.stream("/parts", "?")] == [[str(i)] for i in range(8)]
