"""Flows whose workers are actors of a Ray cluster: the same answers as on one machine, and nothing lost with a node."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from dure import Client, Document, DocumentArray, Executor, Flow, requests
from dure.errors import StartFailed, WorkerCrashed
from tests.e2e.conformance import answers_as_a_local_worker_does
from tests.e2e.ray_nodes import HEAD, SECOND, THIRD, Nodes
from tests.e2e.ray_worker import Worker, nothing_left, over_ray, started_cluster, worker  # noqa: F401

# The tests of a Flow on this machine, for one on Ray: see `over_ray`.
from tests.e2e.test_crashes import (  # noqa: F401
    flow,
    test_a_method_that_is_the_end_of_its_process,
    test_a_worker_that_dies_and_dies_is_given_up,
    test_a_worker_that_is_killed_in_mid_stream,
    test_a_worker_that_is_told_to_end_loses_nothing,
    test_of_a_merged_batch_all_are_reported,
    test_of_concurrent_calls_all_are_reported,
    test_who_does_not_answer_gets_nothing_while_another_does,
)
from tests.e2e.test_graphs import (  # noqa: F401
    test_a_branch_that_fails_fails_the_request_once,
    test_a_generator_in_the_middle,
    test_branches_are_joined_by_id,
    test_results_of_several_executors,
)
from tests.e2e.test_start_failures import (  # noqa: F401
    test_an_error_of_dure_is_itself,
    test_an_exception_of_python,
    test_an_exception_that_cannot_travel,
)

pytest.importorskip("ray", reason="no Ray cluster was tested: Ray is missing (dure[ray])")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

COUNT = 3000


class Echo(Executor):
    """What a group can host: no generators."""

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._prefix = prefix

    @requests(on="/echo")
    def echo(self, docs: DocumentArray, **kwargs: Any) -> None:
        for doc in docs:
            doc.text = self._prefix + doc.text


def node_of(pid: int) -> str:
    """The node that a worker of this machine runs on: its wire listens at the node's address."""
    listening = [c.laddr.ip for c in psutil.Process(pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    (address,) = set(listening)
    return str(address)


# -- the same as on one machine ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["ray", "local"])
def test_it_answers_as_a_local_worker_does(backend: str, cluster: Nodes) -> None:
    with worker(uses_with={"prefix": "> "}, replicas=2).start(backend) as running:
        answers_as_a_local_worker_does(running)
        assert not running.post("/where", "x")[0].tags["token"], "the token is known to user code"


def test_a_client_elsewhere_starts_it_over_ray_client(cluster: Nodes) -> None:
    class Reverse(Executor):  # Ray's client, unlike a driver, does not tell nodes where this process finds modules
        @requests
        def reverse(self, docs: DocumentArray, **kwargs: Any) -> None:
            docs.texts = [text[::-1] for text in docs.texts]

    service = Flow().add(uses=Reverse)
    for last in (False, True):
        try:
            service.start("ray", address=cluster.client_address)
            break
        except StartFailed as error:
            # Ray's server forks while gRPC runs in its other threads, and what it begins may not live through that.
            if last or "Ray client server failed" not in str(error):
                raise
    with service:
        assert service.post("/", "abc").texts == ["cba"]


def test_the_commands(cluster: Nodes, tmp_path: Path) -> None:
    (tmp_path / "upper.py").write_text(
        "from dure import Executor, requests\n\n\nclass Upper(Executor):\n    @requests\n"
        "    def upper(self, docs, **kwargs):\n        docs.texts = [text.upper() for text in docs.texts]\n",
        encoding="utf-8",
    )
    (tmp_path / "flow.yml").write_text("executors:\n- {name: upper, uses: upper.py}\n", encoding="utf-8")
    where = ["flow.yml", "--backend", "ray", "--address", cluster.address]
    dure = [sys.executable, "-m", "dure.cli.main"]
    plan = subprocess.run([*dure, "plan", *where], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert "upper     0        1 CPU" in plan.stdout
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [*dure, "flow", "up", *where, "--working-dir", ".", "--port", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("Flow is ready to use" in line for line in process.stderr)
        with Client(port=port) as client:
            assert client.post("/", "hello").texts == ["HELLO"]
        process.terminate()
        process.stderr.read()
    assert process.returncode == 0


# -- where it runs ----------------------------------------------------------------------------------------------------


def test_ray_places_it_by_what_it_asks_for(cluster: Nodes) -> None:
    service = (
        worker(name="halves", gpus=0.5, replicas=2, max_cpus=0.5)
        .add(uses=Worker, name="whole", device="gpu", max_cpus=0.5, cpu_threads=2)
        .add(uses=Worker, name="there", max_memory="1MiB", ray_options={"resources": {"second": 1}})
    )
    plan = str(service.plan("ray", address=cluster.address))
    assert "halves    0        0.5 CPU, 0.5 GPU" in plan
    assert "there     0        1 CPU, 0.00 GiB memory, 1 second" in plan
    assert f"{THIRD} has " in plan
    with service as running:
        pids = running.pids()
        assert [node_of(pids[name]) for name in ("halves/0", "halves/1", "whole", "there")] == [THIRD] * 3 + [SECOND]
        seen = [psutil.Process(pids[name]).environ()["CUDA_VISIBLE_DEVICES"] for name in ("halves/0", "whole", "there")]
        assert sorted(seen[:2]) == ["0", "1"]
        assert seen[2] == ""
        assert psutil.Process(pids["whole"]).environ()["OMP_NUM_THREADS"] == "2"


def test_a_placement_group_spreads_replicas_and_a_swap_moves_them() -> None:
    chain = Flow()
    for name in ("first", "second"):
        more = {"replicas": 3, "ray_options": {"placement_group": "STRICT_SPREAD"}} if name == "first" else {}
        chain = chain.add(uses=Echo, name=name, group="both", uses_with={"prefix": name[0]}, **more)
    with chain as running:
        pids = {name: pid for name, pid in running.pids().items() if name != "gateway"}
        assert {node_of(pid) for pid in pids.values()} == {HEAD, SECOND, THIRD}
        assert running.post("/echo", "x").texts == ["sfx"]
        running.swap("second", uses_with={"prefix": "S"})
        assert running.post("/echo", "x").texts == ["Sfx"]


# -- what is lost -----------------------------------------------------------------------------------------------------


def cut_off(address: str, *, on: bool) -> None:
    """Have the kernel drop all that goes to an address or comes from there; or no more."""
    for end in ("-d", "-s"):
        subprocess.run(["iptables", "-I" if on else "-D", "INPUT", end, address, "-j", "DROP"], check=True, timeout=10)


@pytest.fixture(params=["killed", "cut off"])
def lose(request: pytest.FixtureRequest, cluster: Nodes) -> Iterator[Callable[[], None]]:
    """Loses the second node, which is there again at the end."""
    if request.param == "killed":
        yield lambda: cluster.kill(SECOND)
    else:
        if os.geteuid() or not shutil.which("iptables"):
            pytest.skip("NO NETWORK WAS CUT: that takes root and iptables")
        try:
            yield lambda: cut_off(SECOND, on=True)
        finally:
            cut_off(SECOND, on=False)
        cluster.kill(SECOND)
    cluster.add(SECOND)


def test_a_node_that_is_lost_under_load_loses_no_request(
    lose: Callable[[], None], tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    done: list[str] = []
    failed: list[str] = []
    answered: set[int] = set()
    lost_at = full_at = 0.0
    spread = {"ray_options": {"scheduling_strategy": "SPREAD"}}
    with worker(uses_with={"folder": str(tmp_path)}, replicas=3, **spread) as running:
        pids = {pid for name, pid in running.pids().items() if name != "gateway"}
        assert SECOND in {node_of(pid) for pid in pids}
        loser = threading.Thread(target=lose)

        def inputs() -> Iterator[Document]:
            """Load until three replicas answer again, and a little longer."""
            for i in range(100 * COUNT):
                if (full_at and i > COUNT) or (lost_at and time.monotonic() - lost_at > 30):
                    return
                yield Document(text=str(i))

        for results in running.stream("/work", inputs, request_size=1, continue_on_error=True):
            done += results.texts
            failed += [text for failure in results.failures for text in failure.documents.texts]
            assert all(type(failure.error) is WorkerCrashed for failure in results.failures)
            answered |= {doc.tags["pid"] for doc in results}
            if not lost_at and len(done) >= 300:
                lost_at = time.monotonic()
                loser.start()
            if not full_at and answered - pids:
                full_at = time.monotonic()
        loser.join()
    begun = Counter((tmp_path / "begun").read_text(encoding="utf-8").split())
    with capsys.disabled():
        told = f"{len(done)} answered, {len(failed)} reported as failed; three replicas answer again after"
        sys.stdout.write(f"\n{request.node.name}: {told} {full_at - lost_at:.1f} s\n")
    assert sorted(done + failed, key=int) == [str(i) for i in range(len(done) + len(failed))], "lost, or answered twice"
    assert begun.most_common(1)[0][1] == 1, "a request was begun twice"
    # A worker that is out of reach goes on with what was sent to it; of one that died, only the first had begun.
    assert 1 <= len(failed) <= (8 if "cut off" in request.node.name else 2)
    assert 0 < full_at - lost_at < 15


def test_a_worker_that_is_stuck_is_replaced() -> None:
    with worker() as running:
        stuck = running.pids()["worker"]
        psutil.Process(stuck).suspend()
        began = time.monotonic()
        while running.pids().get("worker") in (stuck, 0, None):
            assert time.monotonic() - began < 20
            time.sleep(0.05)
        assert running.post("/echo", "x").texts == ["x"]


def test_a_connection_that_is_cut_is_made_again(cluster: Nodes) -> None:
    with worker() as running:
        pid = running.pids()["worker"]
        (wire,) = [c for c in psutil.Process(pid).net_connections("tcp") if c.status == psutil.CONN_ESTABLISHED]
        subprocess.run(["ss", "-K", "src", wire.laddr.ip, "sport", "=", str(wire.laddr.port)], check=True)
        assert running.post("/where", "x")[0].tags["pid"] == pid


def test_a_flow_that_is_killed_leaves_no_actors(cluster: Nodes) -> None:
    program = (
        "import sys, time, json\n"
        "from dure import Flow\n"
        "from tests.e2e.ray_worker import Worker\n"
        "flow = Flow().add(uses=Worker, name='worker', replicas=2, ray_options={'placement_group': 'SPREAD'})\n"
        "flow.start('ray', address=sys.argv[1])\n"
        "print(json.dumps(flow.pids()), flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, cluster.address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = json.loads(next(line for line in process.stdout if line.startswith("{")))
        process.send_signal(signal.SIGKILL)
    assert nothing_left(cluster, 20)
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids.values()):
        assert time.monotonic() < deadline, "a process was left"
        time.sleep(0.05)
