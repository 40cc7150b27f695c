"""What is refused of a Flow on a Ray cluster, and how it is told: no cluster, no room, code or versions that differ."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dure import Flow
from dure.backends import ray_actor
from dure.errors import SpecError, StartFailed
from tests.e2e.ray_nodes import THIRD, Nodes, nodes
from tests.e2e.ray_worker import over_ray, started_cluster, worker  # noqa: F401

pytest.importorskip("ray", reason="no Ray cluster was tested: Ray is missing (dure[ray])")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_no_cluster_at_the_address(scheme: str) -> None:
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as busy:
        silent = busy.getsockname()[1]
        with pytest.raises(StartFailed, match=rf"no Ray cluster answers at {scheme}127\.0\.0\.1:{silent}"):
            worker().start("ray", address=f"{scheme}127.0.0.1:{silent}")
    with pytest.raises(StartFailed, match=r"no Ray cluster answers at "):
        worker().start("ray", address=f"{scheme}127.0.0.1:{silent}")
    assert time.monotonic() - began < 10


def test_something_else_at_the_address() -> None:
    with worker().start("local") as other, pytest.raises(StartFailed, match="is not Ray"):
        worker().start("ray", address=f"127.0.0.1:{other.port}")
    with pytest.raises(SpecError, match=r"^address: 'cluster' is no address of Ray"):
        worker().start("ray", address="cluster")


def test_more_than_the_cluster_has(cluster: Nodes) -> None:
    with pytest.raises(SpecError) as caught:
        worker(gpus=2, replicas=2).start()
    text = str(caught.value)
    assert "no room for replica 1" in text
    assert "worker asks for 1 CPU, 2 GPU, 2 times" in text
    assert f"{THIRD} has 2 CPU (2 free), 2 GPU (2 free)" in text
    assert "wait_for_resources=True" in text
    with pytest.raises(SpecError, match="laid out as STRICT_SPREAD"):
        worker(replicas=4, max_cpus=0.1, ray_options={"placement_group": "STRICT_SPREAD"}).start()
    with pytest.raises(SpecError, match=r"worker.ray_options: .*cheduling"):
        worker(ray_options={"scheduling": "SPREAD"}).start()


def test_waiting_for_room(cluster: Nodes) -> None:
    with pytest.raises(StartFailed, match=r"(?s)not ready after 7 s: worker.*waits for a place: 1 CPU, 4 GPU"):
        worker(gpus=4, timeout_ready_s=7).start(wait_for_resources=True)
    with worker(gpus=2) as first:
        waiting = worker(gpus=1)
        threading.Timer(3, first.close).start()
        with waiting.start(wait_for_resources=True) as second:
            assert second.post("/echo", "x").texts == ["x"]


def test_code_that_no_node_has_until_ray_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here.py").write_text("WORD = 'brought'\n", encoding="utf-8")
    (tmp_path / "mine.py").write_text(
        "from dure import Executor, requests\n\n\nclass Mine(Executor):\n    @requests\n"
        "    def say(self, docs, **kwargs):\n        import only_here\n\n        docs[0].text = only_here.WORD\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    import mine  # type: ignore[import-not-found]  # it was written just now

    with pytest.raises(StartFailed, match=r"module 'mine' cannot be imported on the Ray node 127.*working_dir"):
        Flow().add(uses=mine.Mine).start()
    with pytest.raises(SpecError, match=r"nowhere\.py.*\(on the Ray node .*a file of this machine alone"):
        Flow().add(uses="nowhere.py").start()
    for uses in (mine.Mine, str(tmp_path / "mine.py")):
        with Flow().add(uses=uses).start(runtime_env={"working_dir": str(tmp_path)}) as running:
            assert running.post("/", "x").texts == ["brought"]


def test_another_dure_on_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_actor.importlib.metadata, "version", lambda name: "99.0")  # type: ignore[attr-defined]
    with pytest.raises(StartFailed, match=r"dure \d.* is installed on the Ray node .*, here is dure 99\.0"):
        worker().start()


def test_another_ray_on_the_cluster(cluster: Nodes) -> None:
    program = (
        "import sys, ray\n"
        "ray.__version__ = '1.0.0'\n"
        "from dure import Flow\n"
        "Flow().add().start('ray', address=sys.argv[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, cluster.address], capture_output=True, text=True, timeout=60, check=False
    )
    assert "runs other versions than this process (Ray 1.0.0, Python " in done.stderr
    assert "StartFailed" in done.stderr


def test_a_cluster_that_wants_a_token() -> None:
    program = (
        "import sys\n"
        "from dure import Flow\n"
        "with Flow().add(uses='dure.Executor').start('ray', address=sys.argv[1]) as flow:\n"
        "    print('begun', len(flow.pids()))\n"
    )
    right = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "many-hands-one-job-many-hands-one-job"}
    plain = {name: value for name, value in os.environ.items() if name not in right}
    with nodes(**right) as guarded:
        for variables, told in (
            ({}, "wants a token: set RAY_AUTH_MODE=token, and have the cluster's own in ~/.ray/auth_token or"),
            (right, "begun 2"),
        ):
            done = subprocess.run(
                [sys.executable, "-c", program, guarded.address],
                env={**plain, **variables},
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
            assert told in done.stdout + done.stderr
            assert (done.returncode == 0) == (told == "begun 2")
