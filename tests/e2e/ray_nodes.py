"""A Ray cluster of three nodes on this machine, each at a loopback address of its own, in a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

HEAD, SECOND, THIRD = "127.0.8.2", "127.0.8.3", "127.0.8.4"
_STORE_BYTES = 80 * 2**20
_HEALTH = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}


class Nodes:
    """The cluster, from outside."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        told = self._answer()
        self.address, self.client_address = told["address"], told["client_address"]

    def kill(self, address: str) -> None:
        """End a node as a machine ends that loses its power."""
        self._do("kill", address)

    def add(self, address: str) -> None:
        """Have a node at that address."""
        self._do("add", address)

    def _do(self, word: str, address: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word} {address}\n")
        self._process.stdin.flush()
        self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        raise RuntimeError(f"the cluster ended with {self._process.wait()}")


@contextlib.contextmanager
def nodes(**variables: str) -> Iterator[Nodes]:
    """Start the cluster, with more environment variables; end it with whatever is left of it."""
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONUNBUFFERED": "1", **variables}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.ray_nodes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as process:
        try:
            yield Nodes(process)
        finally:
            process.communicate(timeout=60)


def _serve() -> None:
    import ray.cluster_utils

    kind: Any = ray.cluster_utils.Cluster
    settings: dict[str, Any] = {"num_cpus": 2, "object_store_memory": _STORE_BYTES}
    client_port = 21000 + os.getpid() % 10000
    head = {"include_dashboard": False, "ray_client_server_port": client_port, "_system_config": _HEALTH}
    cluster = kind(
        initialize_head=True, head_node_args={**settings, **head, "node_ip_address": HEAD, "resources": {"head": 1}}
    )
    more: dict[str, dict[str, Any]] = {SECOND: {"resources": {"second": 1}}, THIRD: {"num_gpus": 2}}
    running: dict[str, Any] = {}

    def add(address: str) -> None:
        running[address] = cluster.add_node(**settings, **more[address], node_ip_address=address)

    for address in more:
        add(address)
    _say({"address": cluster.address, "client_address": f"ray://{HEAD}:{client_port}"})
    for line in sys.stdin:
        word, address = line.split()
        if word == "kill":
            cluster.remove_node(running.pop(address), allow_graceful=False)
        else:
            add(address)
        _say({})
    cluster.shutdown()


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(f"\n{json.dumps(told)}\n")  # Ray's own lines are passed over
    sys.stdout.flush()


if __name__ == "__main__":
    _serve()
