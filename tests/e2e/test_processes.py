"""Processes of a Flow: whatever happens, none is left behind, and nothing else leaks."""

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from dure import Document, DocumentArray, Executor, Flow, requests
from dure.errors import BackendError, ConnectionLost, StartFailed
from tests.e2e.programs import program

STREAMING = """
import sys, time
from dure import Document, Executor, Flow, requests

class Slow(Executor):
    @requests
    def work(self, docs, **kwargs):
        time.sleep(0.005)

def generate():
    while True:
        yield Document(text='x')

print('begin', flush=True)
while True:
    with Flow().add(uses=Slow, replicas=2):
        print('ready', flush=True)
    with Flow().add(uses=Slow) as flow:
        for i, _ in enumerate(flow.stream('/', generate, request_size=1)):
            if i == 30:
                break
        flow.post('/', 'x')
    print('closed', flush=True)
"""

HUNG = """
import os, sys, threading, time
from dure import Executor, Flow, requests

class Hung(Executor):
    def __init__(self, how, **kwargs):
        super().__init__(**kwargs)
        self.how = how

    @requests
    def hang(self, docs, **kwargs):
        print(f'hangs by {self.how}', flush=True)
        if self.how == 'sleep':
            time.sleep(1000)
        elif self.how == 'python':
            while True:
                pass
        elif self.how == 'c':
            sum(range(10**12))  # one call of C that lets no other thread run
        elif self.how == 'child':
            os.system('sleep 1000')

flow = Flow()
for how in sys.argv[1:]:
    flow = flow.add(uses=Hung, name=how, uses_with={'how': how}, needs='gateway')
flow.start()
flow.post('/', 'x')
"""


@pytest.mark.parametrize("moment_s", [0.0, 0.15, 0.3, 0.5, 0.8])
def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, moment_s: float) -> None:
    interrupt(tmp_path, moment_s)


@pytest.mark.slow
@pytest.mark.parametrize("moment_s", [i * 0.067 for i in range(30)])
def test_interrupts_at_many_moments_leaves_nothing_behind(tmp_path: Path, moment_s: float) -> None:
    interrupt(tmp_path, moment_s)


@pytest.mark.parametrize("moment_s", [0.25, 0.6])
def test_impatient_interrupts_leave_nothing_behind(tmp_path: Path, moment_s: float) -> None:
    interrupt(tmp_path, moment_s, times=4)


def interrupt(folder: Path, moment_s: float, times: int = 1) -> None:
    with program(folder, STREAMING) as running:
        running.wait_for("begin")
        time.sleep(moment_s)
        for _ in range(times):
            running.process.send_signal(signal.SIGINT)
            time.sleep(0.03)
        assert running.wait(15) != 0
        assert "KeyboardInterrupt" in running.said()
        assert running.left_after(2) == []


@pytest.mark.slow
@pytest.mark.parametrize(("times", "limit_s"), [(1, 14), (2, 4)])
def test_ctrl_c_while_a_method_hangs(tmp_path: Path, times: int, limit_s: float) -> None:
    source = HUNG.replace("flow.start()\nflow.post('/', 'x')", "with flow:\n    flow.post('/', 'x')")
    with program(tmp_path, source, "sleep") as running:
        running.wait_for("hangs by sleep")
        for _ in range(times):
            running.process.send_signal(signal.SIGINT)
            time.sleep(1)
        running.wait(limit_s)
        assert running.left_after(1) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP], ids=lambda number: number.name)
def test_a_parent_that_is_killed_takes_all_with_it(tmp_path: Path, number: signal.Signals) -> None:
    with program(tmp_path, STREAMING) as running:
        running.wait_for("ready")
        running.process.send_signal(number)
        assert running.left_after(2) == []


@pytest.mark.parametrize("how", ["sleep", "python", "c", "child"])
def test_a_parent_that_is_killed_takes_a_busy_worker_with_it(tmp_path: Path, how: str) -> None:
    with program(tmp_path, HUNG, how) as running:
        running.wait_for(f"hangs by {how}")
        time.sleep(0.1)
        running.process.kill()
        assert running.left_after(2) == []


def test_a_parent_that_is_killed_while_it_starts(tmp_path: Path) -> None:
    source = STREAMING.replace("@requests", "def __init__(self, **kwargs): time.sleep(100)\n    @requests")
    with program(tmp_path, source) as running:
        running.wait_for("begin")
        time.sleep(0.25)
        running.process.kill()
        assert running.left_after(2) == []


FORKING = """
import os, sys, time
from dure import Flow

flow = Flow().start()
assert flow.post('/', 'of the parent').texts == ['of the parent']
pid = os.fork()
if pid == 0:
    for i in range(200):
        assert flow.post('/', [f'fork {i}']).texts == [f'fork {i}']
    flow.close()  # not its own to close
    print('forked', flush=True)
    time.sleep(1000)
for i in range(200):
    assert flow.post('/', [f'parent {i}']).texts == [f'parent {i}']
print('posted', flush=True)
time.sleep(float(sys.argv[1]))
flow.post('/', 'still there')
print('FORK', pid, flush=True)
time.sleep(1000)
"""


def test_a_fork_of_the_program_shares_nothing_with_it(tmp_path: Path) -> None:
    with program(tmp_path, FORKING, "0.5") as running:
        running.wait_for("forked")
        running.wait_for("posted")
        running.wait_for("FORK")
        running.process.kill()
        deadline = time.monotonic() + 2
        while len(left := running.left_after(0)) > 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert [line.split()[0] for line in left] == [running.said().rpartition("FORK ")[2].strip()]


def test_a_flow_that_is_never_closed(tmp_path: Path) -> None:
    source = "from dure import Flow\nflow = Flow().start()\nprint(len(flow.post('/', 'x')))\n"
    with program(tmp_path, source) as running:
        assert running.wait() == 0, running.said()
        assert running.left_after(2) == []


def test_a_program_that_exits_or_fails_within_a_flow(tmp_path: Path) -> None:
    for last, code in (("sys.exit(3)", 3), ("raise ValueError('mine')", 1)):
        source = f"import sys\nfrom dure import Flow\nwith Flow().add() as flow:\n    {last}\n"
        with program(tmp_path, source) as running:
            assert running.wait() == code
            assert running.left_after(1) == []


def test_a_client_over_grpc_that_is_never_closed(tmp_path: Path) -> None:
    source = """
from dure import Client, Flow
flow = Flow().start()
client = Client(port=flow.port, protocol='grpc')
print(len(client.post('/', 'x')))
"""
    with program(tmp_path, source) as running:
        assert running.wait(15) == 0, running.said()
        assert running.left_after(2) == []


# -- leaks -------------------------------------------------------------------------------------------------------------


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
    from dure import Client

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
    from dure import Client

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
