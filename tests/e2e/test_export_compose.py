"""What `dure export compose` writes, started on a real engine: two replicas, two gateways behind nginx."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dure import Client
from dure.errors import DureError
from tests.containers.workplace import BASE, build_base, build_bundle, engine
from tests.e2e.test_balancing import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT = "dure-test-export"
NGINX = "dure-test/nginx"
WORKER = "worker"
ENVIRONMENT = {"SECRET_PREFIX": "두레 $HOME ", "WORDS": "s3cret"}


@pytest.fixture(scope="module")
def docker() -> Iterator[Any]:
    if shutil.which("docker-compose") is None:
        pytest.skip("NO COMPOSE FILE WAS TESTED: docker-compose is not installed")
    with engine() as client:
        yield client


@pytest.fixture(scope="module")
def images(docker: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The images, by what they are for."""
    folder = tmp_path_factory.mktemp("images")
    wheel = build_base(docker, folder)
    build_bundle(docker, folder, wheel)
    build_nginx(docker, tmp_path_factory.mktemp("nginx"))
    return {WORKER: "dure-test/worker", "nginx": NGINX}


def build_nginx(docker: Any, folder: Path) -> None:
    """Make an image of this machine's nginx."""
    path = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if path is None:
        pytest.skip("NO COMPOSE FILE WAS TESTED: nginx is not installed (nginx-light)")
    told = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
    for file in [path, *re.findall(r"(/\S+\.so\S*)", told)]:
        place = folder / "root" / (Path("usr") / file.lstrip("/").removeprefix("usr/"))
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    (folder / "Dockerfile").write_text(f"FROM {BASE}\nCOPY root/ /\nUSER 10001\n", encoding="utf-8")
    docker.images.build(path=str(folder), tag=NGINX, rm=True)


class Stack:
    """A compose file that runs."""

    def __init__(self, docker: Any, file: Path, ports: list[int]) -> None:
        self._docker = docker
        self._command = ["docker-compose", "-f", str(file), "-p", PROJECT]
        self.http, self.grpc = ports

    def compose(self, *words: str) -> str:
        environment = {**os.environ, **ENVIRONMENT}
        done = subprocess.run(
            [*self._command, *words], capture_output=True, text=True, env=environment, timeout=300, check=False
        )
        assert not done.returncode, done.stdout + done.stderr + self.logs()
        return done.stdout

    def logs(self) -> str:
        return "\n".join(
            f"{one.name} {one.status} {json.dumps(one.attrs['State'].get('Health', {}))[-600:]}\n"
            f"{one.logs(tail=30).decode(errors='replace')}"
            for one in self.containers(None)
        )

    def containers(self, service: str | None) -> list[Any]:
        wanted = [f"com.docker.compose.project={PROJECT}"]
        wanted += [] if service is None else [f"com.docker.compose.service={service}"]
        found: list[Any] = self._docker.containers.list(all=True, filters={"label": wanted})
        return found

    def hosts(self, num: int = 20) -> set[str]:
        """Ask so many times, over gRPC and one after the other, who answers."""
        with Client(port=self.grpc) as client:
            return {client.post("/where", [""])[0].tags["env"]["HOSTNAME"] for _ in range(num)}

    def crash(self, container: Any) -> None:
        os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)  # what is stopped by hand stays stopped


@pytest.fixture(scope="module")
def stack(docker: Any, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder, ports = tmp_path_factory.mktemp("export"), free_ports(2)
    flow = {
        "jtype": "Flow",
        "with": {"protocol": ["http", "grpc"], "port": ports, "metrics_port": 0},
        "executors": [
            {
                "uses": f"docker://{images[WORKER]}",
                "name": WORKER,
                "replicas": 2,
                "uses_with": {"prefix": "${{ ENV.SECRET_PREFIX }}"},
                "env": {"SAID": "$HOME as it is", "NAMED": "<${{ ENV.WORDS }}>"},
                "max_memory": "1GiB",
                "max_processes": 500,
                "volumes": ["data:/data"],
                "timeout_ready_s": 120,
            }
        ],
    }
    (folder / "flow.yml").write_text(yaml.safe_dump(flow), encoding="utf-8")
    command = [sys.executable, "-m", "dure.cli.main", "export", "compose", str(folder / "flow.yml")]
    command += ["-o", str(folder / "compose.yaml"), "--gateways", "2", "--nginx-image", images["nginx"]]
    subprocess.run(command, check=True, timeout=60)
    stack = Stack(docker, folder / "compose.yaml", ports)
    try:
        stack.compose("up", "-d")
        until(lambda: answers(ports[0]), 60, stack)
        yield stack
    finally:
        stack.compose("down", "-v", "-t", "5")


def answers(port: int) -> bool:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


def until(holds: Callable[[], bool], seconds: float, stack: Stack) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, stack.logs()
        time.sleep(0.2)


def num_answered(gateway: Any) -> float:
    """Ask a gateway's own page how many requests it has answered."""
    read = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9090/metrics').read().decode())"
    page = gateway.exec_run(["python", "-c", read]).output.decode()
    return sum(map(float, re.findall(r"^dure_requests_total\{.*\} (\S+)$", page, re.MULTILINE)))


def test_both_replicas_answer(stack: Stack) -> None:
    assert stack.hosts() == {one.id[:12] for one in stack.containers(WORKER)}
    assert len(stack.containers(WORKER)) == 2


def test_both_gateways_take_part(stack: Stack) -> None:
    before = [num_answered(one) for one in stack.containers("gateway")]
    stack_posts(stack.http, 10)
    after = [num_answered(one) for one in stack.containers("gateway")]
    assert len(after) == 2
    assert all(late > early for early, late in zip(before, after, strict=True)), (before, after)


def stack_posts(port: int, num: int) -> list[str]:
    """Send requests over HTTP, one after the other, and return the texts of the answers."""
    texts = []
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        for _ in range(num):
            body = json.dumps({"data": [{"text": "x"}]})
            connection.request("POST", "/echo", body, {"Content-Type": "application/json"})
            texts.append(json.loads(connection.getresponse().read())["data"][0]["text"])
    return texts


def test_values_arrive_as_they_are(stack: Stack) -> None:
    assert stack_posts(stack.http, 1) == ["두레 $HOME x"]
    with Client(port=stack.grpc) as client:
        told = client.post("/where", [""])[0].tags
    assert told["env"]["SAID"] == "$HOME as it is"
    assert told["env"]["NAMED"] == "<s3cret>"


def test_an_executor_has_walls(stack: Stack) -> None:
    with Client(port=stack.grpc) as client:
        told = client.post("/where", [""])[0].tags
        read_only = client.post("/write", ["/bundle/x", "/tmp/x"])
    assert (told["uid"], int(told["CapEff"], 16), int(told["CapBnd"], 16), told["NoNewPrivs"]) == (10001, 0, 0, "1")
    assert [doc.tags["error"] for doc in read_only] == ["Read-only file system", ""]
    (limits,) = {one.attrs["HostConfig"]["Memory"] for one in stack.containers(WORKER)}
    assert limits == 2**30
    assert not any(one.ports.get("8080/tcp") for one in stack.containers(WORKER))  # reached from inside alone


def test_a_replica_that_dies_is_left_out_and_comes_back(stack: Stack) -> None:
    victim, other = stack.containers(WORKER)
    stack.crash(victim)
    deadline, seen = time.monotonic() + 60, set[str]()
    while len(seen) < 2:
        assert time.monotonic() < deadline, stack.logs()
        with contextlib.suppress(DureError):  # what was with it when it died
            seen |= stack.hosts(4)
            assert other.id[:12] in seen
        time.sleep(0.1)
    victim.reload()
    assert victim.attrs["RestartCount"] == 1


def test_a_gateway_that_dies_is_left_out(stack: Stack) -> None:
    victim = stack.containers("gateway")[0]
    stack.crash(victim)
    time.sleep(1)
    texts = [stack_posts(stack.http, 1)[0] for _ in range(20)]
    assert texts == ["두레 $HOME x"] * 20
    until(lambda: victim.reload() or victim.attrs["State"]["Health"]["Status"] == "healthy", 60, stack)


def test_it_stops_in_order(stack: Stack) -> None:
    stack.compose("stop")
    codes = {one.labels["com.docker.compose.service"]: one.attrs["State"]["ExitCode"] for one in stack.containers(None)}
    assert codes == {WORKER: 0, "gateway": 0, "nginx-front": 0}
