"""Starting, closing and starting again: nothing leaks, and what is on its way is answered."""

import io
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from dure import Client, Document, DocumentArray, Executor, Flow, requests
from dure.errors import BackendError, ConnectionLost, StartFailed


def runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)  # PID 1 of a container may reap nobody
    except psutil.NoSuchProcess:
        return False


class Quiet(Executor):
    @requests
    def nothing(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Do nothing."""


def resources() -> tuple[int, int, int]:
    me = psutil.Process()
    return me.num_fds(), threading.active_count(), len(me.children(recursive=True))


def test_starting_and_closing_leaks_nothing() -> None:
    flow = Flow().add(uses=Quiet, replicas=2, timeout_ready_s=20)
    with flow:
        flow.post("/", "x")
    before = resources()
    for _ in range(4):
        with flow:
            flow.post("/", "x")
    assert resources() == before


def test_failing_to_start_leaks_nothing() -> None:
    flow = Flow().add(uses=Quiet, timeout_ready_s=20).add(uses="no.such.module.Class", timeout_ready_s=20)
    before = None
    for _ in range(3):
        with pytest.raises(ValueError, match="no module"):
            flow.start()
        before = before or resources()
    assert resources() == before


# -- closing -----------------------------------------------------------------------------------------------------------


class Noted(Executor):
    """Writes into a folder what happens to it."""

    def __init__(self, folder: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder = Path(folder)

    @requests(on="/slow")
    def slow(self, docs: DocumentArray, **kwargs: Any) -> None:
        (self.folder / "begun").touch()
        time.sleep(0.5)
        docs[0].text = "done"

    @requests(on="/child")
    def child(self, docs: DocumentArray, **kwargs: Any) -> None:
        import subprocess

        docs[0].tags["pid"] = subprocess.Popen(["sleep", "1000"]).pid

    @requests(on="/pool")
    def pool(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        import multiprocessing

        with multiprocessing.get_context(parameters["how"]).Pool(2) as pool:
            docs[0].tags = {"numbers": pool.map(abs, [-1, -2]), "pid": os.getpid()}

    @requests(on="/die")
    def die(self, docs: DocumentArray, **kwargs: Any) -> None:
        os._exit(1)

    def close(self) -> None:
        sys.stdout.write("closing 닫는 중\n")
        (self.folder / f"closed{self.runtime_args.replica}").write_text(str(os.getpid()))


def test_executors_are_closed_and_heard_to_the_last(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Flow().add(uses=Noted, uses_with={"folder": str(tmp_path)}, replicas=2, timeout_ready_s=20) as flow:
        pids = flow.pids()
        assert len(pids) == 3
    assert {int((tmp_path / f"closed{i}").read_text()) for i in range(2)} == {
        pid for name, pid in pids.items() if name != "gateway"
    }
    assert capfd.readouterr().out == "closing 닫는 중\n" * 2


@pytest.mark.parametrize("protocol", ["native", "grpc"])
def test_closing_answers_what_is_on_its_way(tmp_path: Path, protocol: Any) -> None:
    answers: list[Any] = []
    with Flow().add(uses=Noted, uses_with={"folder": str(tmp_path)}, timeout_ready_s=20) as flow:
        client = Client(port=flow.port, protocol=protocol)
        caller = threading.Thread(target=lambda: answers.append(client.post("/slow", "x").texts))
        caller.start()
        while not (tmp_path / "begun").exists():
            time.sleep(0.01)
        begin = time.monotonic()
    took_s = time.monotonic() - begin
    caller.join(5)
    assert answers == [["done"]]
    assert took_s < 3
    with pytest.raises(ConnectionLost):
        client.post("/slow", "x")
    client.close()


def test_what_a_worker_started_ends_with_it(tmp_path: Path) -> None:
    with Flow().add(uses=Noted, uses_with={"folder": str(tmp_path)}, timeout_ready_s=20) as flow:
        first = int(flow.post("/child", "x")[0].tags["pid"])
        flow.post("/die", "x", continue_on_error=True)
        second = int(flow.post("/child", "x")[0].tags["pid"])
        assert not runs(first)
        assert runs(second)
    assert not runs(second)


def test_pools_of_processes_in_an_executor(tmp_path: Path) -> None:
    with Flow().add(uses=Noted, uses_with={"folder": str(tmp_path)}, timeout_ready_s=20) as flow:
        for how in ("fork", "fork", "spawn"):
            tags = flow.post("/pool", "x", parameters={"how": how})[0].tags
            assert tags == {"numbers": [1, 2], "pid": flow.pids()["executor0"]}
        time.sleep(0.2)
        flow.post("/pool", "x", parameters={"how": "fork"})
        assert flow.pids()["executor0"] == tags["pid"], "its pool has ended it"


def test_a_closed_flow_says_so_and_may_start_again() -> None:
    flow = Flow().add(uses=Quiet, timeout_ready_s=20)
    for _ in range(2):
        with pytest.raises(BackendError, match="does not run"):
            flow.post("/", "x")
        with flow:
            with pytest.raises(BackendError, match="runs already"):
                flow.start()
            assert len(flow.post("/", "x")) == 1
    flow.close()


def test_a_client_outlives_a_restart_of_its_flow() -> None:
    with Flow().add(uses=Quiet, timeout_ready_s=20) as flow:
        port = flow.port
        clients = [Client(port=port, protocol=protocol) for protocol in ("native", "grpc")]
        assert [len(client.post("/", "x")) for client in clients] == [1, 1]
    for client in clients:
        with pytest.raises(ConnectionLost):
            client.post("/", "x")
    with Flow(port=port).add(uses=Quiet, timeout_ready_s=20):
        for client in clients:
            assert len(client.post("/", "x")) == 1
            client.close()


# -- several Flows, ports ----------------------------------------------------------------------------------------------


def test_two_flows_at_once() -> None:
    class First(Executor):
        @requests
        def name(self, docs: DocumentArray, **kwargs: Any) -> None:
            docs.texts = ["first"] * len(docs)

    class Second(First):
        @requests
        def name(self, docs: DocumentArray, **kwargs: Any) -> None:
            docs.texts = ["second"] * len(docs)

    with Flow().add(uses=First, timeout_ready_s=20) as one, Flow().add(uses=Second, timeout_ready_s=20) as other:
        assert one.port != other.port
        assert one.post("/", Document()).texts == ["first"]
        assert other.post("/", Document()).texts == ["second"]


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        begin = time.monotonic()
        with pytest.raises(StartFailed, match=f"127.0.0.1:{port} cannot be listened on"):
            Flow(port=port).add(uses=Quiet, timeout_ready_s=20).start()
        assert time.monotonic() - begin < 5


def test_a_flow_started_in_a_thread_that_ends() -> None:
    flow = Flow().add(uses=Quiet, timeout_ready_s=20)
    starter = threading.Thread(target=flow.start)
    starter.start()
    starter.join()
    time.sleep(0.2)
    assert len(flow.post("/", "x")) == 1
    flow.close()


def test_a_flow_without_executors_gives_back_what_it_got() -> None:
    with Flow() as flow:
        assert flow.post("/", ["a", "b"]).texts == ["a", "b"]


class Talking(Executor):
    @requests(on="/say")
    def say(self, docs: DocumentArray, **kwargs: Any) -> None:
        sys.stdout.write("말하다 🎤 " * 20_000 + "\n")
        docs[0].tags["pid"] = os.getpid()

    @requests(on="/die")
    def die(self, docs: DocumentArray, **kwargs: Any) -> None:
        os._exit(1)


@pytest.mark.parametrize("how", ["text only", "ascii", "closed", "none"])
def test_whatever_has_become_of_standard_output(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    closed = io.StringIO()
    closed.close()
    outputs: dict[str, Any] = {"text only": text, "ascii": ascii_only, "closed": closed, "none": None}
    monkeypatch.setattr(sys, "stdout", outputs[how])
    with Flow().add(uses=Talking, timeout_ready_s=20) as flow:
        first = flow.post("/say", "x")[0].tags["pid"]
        flow.post("/die", "x", continue_on_error=True)
        assert flow.post("/say", "x")[0].tags["pid"] != first, "nobody watches the worker any more"
    written = {"text only": text.getvalue(), "ascii": ascii_only.buffer.getvalue().decode()}
    if how in written:
        assert written[how].count("말하다 🎤") == 40_000
