"""Replicas that are wanted under load on a cluster that Ray's own autoscaler makes larger, and smaller again.

The autoscaler is real; its provider of machines is the one that Ray has for tests: a node is processes of this machine.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dure import DocumentArray, Executor, Flow, requests
from dure.bulk.mapping import map_rows
from dure.errors import BackendError
from dure.executor.endpoints import batching

ray: Any = pytest.importorskip("ray", reason="no Ray cluster was tested: Ray is missing (dure[ray])")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

HEAD = "127.0.9.2"
STORE_BYTES = 80 * 2**20
COMMANDS = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
UNUSED = {
    **{key: {} for key in ("auth", "docker", "file_mounts")},
    **{key: [] for key in ("cluster_synced_files", "rsync_exclude", "rsync_filter")},
    **{f"{key}_commands": [] for key in COMMANDS},
    "file_mounts_sync_continuously": False,
}
"""What Ray's autoscaler wants to be told though nothing is installed on these machines."""


class Slow(Executor):
    @requests
    @batching(max_batch_size=1)
    def work(self, docs: DocumentArray, **kwargs: Any) -> None:
        time.sleep(0.2)
        docs[0].tags["pid"] = os.getpid()


def settings_for(address: str) -> dict[str, Any]:
    """A head of one core, and one machine of one core more when it is asked for and as long as it is used."""
    return {
        **UNUSED,
        "cluster_name": "grows",
        "max_workers": 1,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": 0.1,
        "head_node_type": "ray.head.default",
        "provider": {
            "type": "fake_multinode",
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "gcs_address": address,
        },
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0},
            "more": {"resources": {"CPU": 1, "object_store_memory": STORE_BYTES}, "node_config": {}, "max_workers": 1},
        },
    }


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with socket.create_server((HEAD, 0)) as free:  # the autoscaler is told the address before there is a cluster
        port = free.getsockname()[1]
    found = f"{HEAD}:{port}"
    file = tmp_path / "cluster.json"
    file.write_text(json.dumps(settings_for(found)), encoding="utf-8")
    told = {"autoscaling-config": file, "node-ip-address": HEAD, "port": port, "num-cpus": 1}
    told |= {"object-store-memory": STORE_BYTES, "include-dashboard": "false"}
    ray_command = str(Path(sys.executable).with_name("ray"))
    process = subprocess.Popen(
        [ray_command, "start", "--head", "--block", *(f"--{name}={value}" for name, value in told.items())],
        env={
            **os.environ,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "disabled",  # else a token that Ray has left on this machine turns it on
            "RAY_FAKE_CLUSTER": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        written: list[str] = []
        for line in process.stdout:
            written.append(line)
            if "--block" in line:
                break
        assert process.poll() is None, "".join(written)
        yield found
    finally:
        # No grace: Ray would drain for half a minute, and nobody ends the machine that was brought.
        for one in [*psutil.Process(process.pid).children(recursive=True), process]:
            one.kill()
        process.communicate(timeout=30)


def after(condition: Callable[[], bool], limit_s: float) -> float:
    """Return how many seconds it took until something holds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit_s
        time.sleep(0.1)
    return time.monotonic() - began


def test_a_machine_comes_for_the_replica_that_is_wanted_and_goes_with_it(address: str) -> None:
    answered: list[int] = []
    enough = threading.Event()

    with Flow().add(uses=Slow, name="slow", max_replicas=2).start("ray", address=address) as running:

        def ask() -> None:
            while not enough.is_set():
                answered.append(len(running.post("/", "x")))

        def machines() -> int:
            return sum(node["Alive"] for node in ray.nodes())

        after(lambda: machines() == 1, 60)  # it may have brought one for the replica that was just about to begin
        assert set(running.pids()) == {"gateway", "slow/0"}
        askers = [threading.Thread(target=ask) for _ in range(16)]
        for asker in askers:
            asker.start()
        after(lambda: machines() == 2, 60)
        after(lambda: bool(running.pids().get("slow/1")), 60)
        time.sleep(3)  # until it has a part of the load
        rates = []
        for _ in range(2):
            before = len(answered)
            time.sleep(4)
            rates.append((len(answered) - before) / 4)
        enough.set()
        for asker in askers:
            asker.join()
        assert max(rates) > 1.5 / 0.2, "two replicas answer no more than one"
        after(lambda: "slow/1" not in running.pids(), 60)
        after(lambda: machines() == 1, 60)
        assert running.post("/", "x").texts == ["x"]
    assert set(answered) == {1}


@pytest.mark.filterwarnings("ignore:`use_:DeprecationWarning")  # Ray Data says so to itself
def test_a_map_begins_with_what_there_is_and_waits_for_the_rest(address: str, tmp_path: Path) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out"
    rows = pa.table({"text": [f"row {number}" for number in range(100)]})
    pq.write_table(rows, source)
    asked: dict[str, Any] = {"uses": Slow, "on": "/", "backend": "ray", "address": address, "replicas": 2}
    asked |= {"part_rows": 2, "request_size": 1}
    with pytest.raises(
        BackendError, match=r"replicas: 2 of them take 2 CPUs, and the Ray cluster has 1 on 1 node.*wait"
    ):
        map_rows(source, target, **asked)
    assert map_rows(source, target, **asked, wait_for_resources=True).num_rows == 100
    written = pq.read_table(target)
    assert written["text"] == rows["text"]
    assert len({json.loads(tags)["pid"] for tags in written["tags"].to_pylist()}) == 2
