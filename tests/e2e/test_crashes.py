"""Workers that die: what had not begun is sent again, what had is reported, and nothing is lost or done twice."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from dure import Client, Document, DocumentArray, Executor, Flow, requests
from dure.errors import ConnectionLost, ReplicaUnavailable, WorkerCrashed
from dure.executor.endpoints import batching

COUNT = 60


class Busy(Executor):
    """Runs Python for a while, in its only thread."""

    @requests(on="/count")
    def count(self, docs: DocumentArray, **kwargs: Any) -> None:
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            pass


class Fragile(Executor):
    """Notes every document it begins with, and dies in the ways there are."""

    def __init__(self, folder: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._folder = Path(folder)
        if (self._folder / "never again").exists():
            os._exit(9)

    def _begin(self, docs: DocumentArray) -> None:
        with (self._folder / "begun").open("a", encoding="utf-8") as file:
            file.write("".join(f"{doc.text}\n" for doc in docs))

    @requests(on="/work")
    @batching(max_batch_size=1)
    def work(self, docs: DocumentArray, **kwargs: Any) -> None:
        self._begin(docs)
        time.sleep(0.004)
        docs[0].tags["pid"] = os.getpid()

    @requests(on="/merged")
    @batching(max_batch_size=8)
    def merged(self, docs: DocumentArray, **kwargs: Any) -> None:
        self._begin(docs)
        time.sleep(0.01)

    @requests(on="/signal")
    def signal(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        os.kill(os.getpid(), getattr(signal, parameters["name"]))
        time.sleep(1)

    @requests(on="/cut")
    def cut(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Cut the connection to the gateway, and live on."""
        for found in psutil.Process().net_connections("unix"):
            if found.laddr and found.status != psutil.CONN_LISTEN:
                with socket.socket(fileno=os.dup(found.fd)) as own, contextlib.suppress(OSError):
                    own.getpeername()  # a listener has none
                    own.shutdown(socket.SHUT_RDWR)

    @requests(on="/exit")
    def exit(self, docs: DocumentArray, **kwargs: Any) -> None:
        raise SystemExit(3)

    @requests(on="/last")
    def last(self, docs: DocumentArray, **kwargs: Any) -> None:
        (self._folder / "never again").touch()
        os._exit(9)


class FragileAsync(Fragile):
    @requests(on="/work")
    async def work(self, docs: DocumentArray, **kwargs: Any) -> None:  # type: ignore[override]  # it is async now
        self._begin(docs)
        await asyncio.sleep(0.1)


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[Flow]:
    with Flow().add(uses=Fragile, name="frail", uses_with={"folder": str(tmp_path)}, timeout_ready_s=20) as running:
        yield running


def numbered() -> Iterator[Document]:
    for i in range(COUNT):
        yield Document(text=str(i))


def begun(folder: Path) -> list[str]:
    return (folder / "begun").read_text(encoding="utf-8").splitlines()


def kill(flow: Flow, name: str) -> None:
    os.kill(flow.pids()[name], signal.SIGKILL)


@pytest.mark.parametrize("protocol", ["native", "grpc"])
def test_a_worker_that_is_killed_in_mid_stream(flow: Flow, tmp_path: Path, protocol: Any) -> None:
    done: list[str] = []
    failed: list[str] = []
    with Client(port=flow.port, protocol=protocol) as client:
        for results in client.stream("/work", numbered, request_size=1, continue_on_error=True):
            done += results.texts
            failed += [text for failure in results.failures for text in failure.documents.texts]
            assert all(type(failure.error) is WorkerCrashed for failure in results.failures)
            if len(done) in (10, 35) and len(failed) == len(done) // 30:
                kill(flow, "frail")
    assert sorted(done + failed, key=int) == [str(i) for i in range(COUNT)]
    assert done == sorted(done, key=int)
    assert len(failed) == 2, "one begun request a death"
    assert Counter(begun(tmp_path)).most_common(1)[0][1] == 1, "a request was begun twice"
    assert set(done) <= set(begun(tmp_path))


def test_of_a_merged_batch_all_are_reported(flow: Flow, tmp_path: Path) -> None:
    done: list[str] = []
    failed: list[str] = []
    for results in flow.stream("/merged", numbered, request_size=1, continue_on_error=True):
        if not done:
            kill(flow, "frail")
        done += results.texts
        failed += [text for failure in results.failures for text in failure.documents.texts]
    assert sorted(done + failed, key=int) == [str(i) for i in range(COUNT)]
    assert len(failed) <= 8
    assert Counter(begun(tmp_path)).most_common(1)[0][1] == 1


def test_of_concurrent_calls_all_are_reported(tmp_path: Path) -> None:
    with Flow().add(uses=FragileAsync, name="frail", uses_with={"folder": str(tmp_path)}, timeout_ready_s=20) as flow:
        killer = threading.Timer(0.05, kill, (flow, "frail"))
        killer.start()
        back = flow.post("/work", numbered, request_size=1, continue_on_error=True)
    assert sorted(back.texts + [f.documents[0].text for f in back.failures], key=int) == [str(i) for i in range(COUNT)]
    assert back.failures
    assert Counter(begun(tmp_path)).most_common(1)[0][1] == 1


@pytest.mark.parametrize("kind", [Fragile, FragileAsync])
def test_a_worker_that_is_told_to_end_loses_nothing(tmp_path: Path, kind: type[Fragile]) -> None:
    with Flow().add(uses=kind, name="frail", uses_with={"folder": str(tmp_path)}, timeout_ready_s=20) as flow:
        done: list[str] = []
        for results in flow.stream("/work", numbered, request_size=1):
            done += results.texts
            if len(done) in (10, 40):
                os.kill(flow.pids()["frail"], signal.SIGTERM)
    assert done == [str(i) for i in range(COUNT)]
    assert Counter(begun(tmp_path)).most_common(1)[0][1] == 1, "a request was begun twice"


def test_another_replica_goes_on_meanwhile(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"uses_with": {"folder": str(tmp_path)}, "timeout_ready_s": 20}
    with Flow().add(uses=Fragile, name="frail", replicas=2, **settings) as flow:
        first = set(flow.pids().values())
        kill(flow, "frail/0")
        back = flow.post("/work", numbered, request_size=1, continue_on_error=True)
        assert len(back) >= COUNT - 1, "more failed than what the dead one had begun"
        assert len(back) + len(back.failures) == COUNT
        deadline = time.monotonic() + 10
        pids: set[int] = set()
        while len(pids) < 2 and time.monotonic() < deadline:
            pids = {doc.tags["pid"] for doc in flow.post("/work", numbered, request_size=1)}
        assert len(pids) == 2, "it was not started again"
        assert not pids <= first


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL", "SIGTERM", "SIGABRT"])
def test_a_method_that_is_the_end_of_its_process(flow: Flow, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    back = flow.post("/signal", "x", parameters={"name": name}, continue_on_error=True)
    if name == "SIGTERM":  # which means: finish what you have, then end
        assert len(back) == 1
    else:
        assert isinstance(back.error, WorkerCrashed)
        assert "frail died while it held this request" in str(back.error)
    assert flow.post("/work", "x").texts == ["x"]
    if name == "SIGSEGV":
        assert "Segmentation fault" in capfd.readouterr().err


def test_a_connection_that_is_cut_is_made_again(flow: Flow) -> None:
    pid = flow.post("/work", "x")[0].tags["pid"]
    with pytest.raises(WorkerCrashed):
        flow.post("/cut", "x")
    assert flow.post("/work", "x")[0].tags["pid"] == pid


def test_sys_exit_in_a_method(flow: Flow) -> None:
    with pytest.raises(WorkerCrashed):
        flow.post("/exit", "x")
    assert flow.post("/work", "x").texts == ["x"]


@pytest.mark.slow  # its restarts pause longer and longer
def test_a_worker_that_dies_and_dies_is_given_up(flow: Flow) -> None:
    begin = time.monotonic()
    with pytest.raises(WorkerCrashed):
        flow.post("/last", "x")
    with pytest.raises(ReplicaUnavailable, match=r"frail died 5 times in 60 s.*exited with code 9"):
        flow.post("/work", "x")
    assert time.monotonic() - begin < 20
    with pytest.raises(ReplicaUnavailable):
        flow.post("/work", "x")


def test_a_gateway_that_dies_is_told(flow: Flow, caplog: pytest.LogCaptureFixture) -> None:
    assert flow.post("/work", "x").texts == ["x"]
    pids = flow.pids().values()
    kill(flow, "gateway")
    with pytest.raises(ConnectionLost):
        flow.post("/work", numbered, request_size=1)
    deadline = time.monotonic() + 5
    while "the gateway was ended by SIGKILL" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    flow.close()
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids)


def ready(flow: Flow) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{flow.port}/live.json") as answer:
        return bool(json.loads(answer.read())["ready"])


def until(what: Callable[[], bool], limit_s: float) -> float:
    """Return after how many seconds it came true."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < limit_s, f"not within {limit_s} s"
        time.sleep(0.02)
    return time.monotonic() - began


def test_a_worker_that_does_not_answer_makes_the_flow_not_ready_until_it_does(tmp_path: Path) -> None:
    with Flow(protocol="http").add(uses=Fragile, name="frail", uses_with={"folder": str(tmp_path)}) as flow:
        worker = psutil.Process(flow.pids()["frail"])
        assert flow.post("/work", "x").texts == ["x"]
        worker.suspend()
        try:
            until(lambda: not ready(flow), 2.0)
        finally:
            worker.resume()
        until(lambda: ready(flow), 2.0)
        assert flow.post("/work", "y").texts == ["y"]
        assert flow.pids()["frail"] == worker.pid, "it was only slow"


def test_who_does_not_answer_gets_nothing_while_another_does(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"uses_with": {"folder": str(tmp_path)}, "replicas": 2}
    with Flow(protocol="http").add(uses=Fragile, name="frail", **settings) as flow:
        pids = flow.pids()
        worker = psutil.Process(pids["frail/0"])
        worker.suspend()
        try:
            address = f"http://127.0.0.1:{flow.port}/live.json"
            until(lambda: b'"silent":true' in urllib.request.urlopen(address).read(), 2.0)
            assert ready(flow), "there is another"
            back = flow.post("/work", numbered, request_size=1, timeout_s=20)
            assert {doc.tags["pid"] for doc in back} == {pids["frail/1"]}
        finally:
            worker.resume()


def test_a_worker_that_is_stuck_is_replaced(tmp_path: Path) -> None:
    with Flow(protocol="http").add(uses=Fragile, name="frail", uses_with={"folder": str(tmp_path)}) as flow:
        stuck = flow.pids()["frail"]
        psutil.Process(stuck).suspend()
        until(lambda: not ready(flow), 2.0)
        until(lambda: ready(flow), 6.0)
        assert flow.post("/work", "x").texts == ["x"]
        assert flow.pids()["frail"] != stuck


def test_a_long_method_is_not_silence(tmp_path: Path) -> None:
    with Flow(protocol="http").add(uses=Busy, name="busy") as flow:
        answer = threading.Thread(target=flow.post, args=("/count", "x"))
        answer.start()
        began = time.monotonic()
        while time.monotonic() - began < 2.5:
            assert ready(flow)
            time.sleep(0.05)
        answer.join()
