"""Processes of a Flow: whatever happens to the program that started them, none is left behind."""

import signal
import time
from pathlib import Path

import pytest

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
def test_an_interrupt_while_a_method_hangs(tmp_path: Path, times: int, limit_s: float) -> None:
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
