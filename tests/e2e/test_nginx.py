"""nginx before two Flows, with the configurations of `docs/nginx`: what layer 4 and layer 7 balance."""

import http.client
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from websockets.sync.client import connect

from dure import Client, Flow
from tests.e2e.probe import Probe
from tests.e2e.test_balancing import ENVELOPE, asked, free_ports, over_grpc, over_http, pid_of, unary

FOLDER = Path(__file__).parents[2] / "docs/nginx"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (nginx-light, libnginx-mod-stream)")

WRITTEN = (8080, 8090, 8081, 8082, 8091, 8092)
"""Ports in the files: clients' HTTP and gRPC, the Flows' HTTP, the Flows' gRPC."""


@pytest.fixture(scope="module")
def ports() -> dict[int, int]:
    return dict(zip(WRITTEN, free_ports(len(WRITTEN)), strict=True))


@pytest.fixture(scope="module")
def flows(ports: dict[int, int]) -> Iterator[list[Flow]]:
    def flow(http: int, grpc: int) -> Flow:
        settings: dict[str, Any] = {
            "protocol": ["http", "websocket", "grpc"],
            "port": [ports[http], ports[http], ports[grpc]],
            "trusted_proxies": ["127.0.0.1"],
            "max_connection_age_s": 1.0,
        }
        return Flow(**settings).add(uses=Probe, name="probe")

    with flow(8081, 8091) as one, flow(8082, 8092) as other:
        yield [one, other]


@contextmanager
def nginx(name: str, ports: dict[int, int], folder: Path) -> Iterator[None]:
    """Run nginx with a configuration, on other ports than are written there."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    for written, used in ports.items():
        text = text.replace(f":{written}", f":{used}")
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    command = [str(NGINX), "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(100):
            try:
                over_http(ports[8080])
                break
            except OSError:
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.fixture(scope="module")
def layer_7(flows: list[Flow], ports: dict[int, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with nginx("nginx-l7.conf", ports, tmp_path_factory.mktemp("l7")):
        yield


def served_by(flows: list[Flow]) -> set[int]:
    return {flow.pids()["probe"] for flow in flows}


@pytest.mark.usefixtures("layer_7")
def test_layer_7_spreads_the_requests_of_one_connection(flows: list[Flow], ports: dict[int, int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", ports[8080], timeout=20)
    assert {asked(connection) for _ in range(20)} == served_by(flows)
    connection.close()
    with grpc.insecure_channel(f"127.0.0.1:{ports[8090]}") as channel:
        call = unary(channel)
        assert {pid_of(call(ENVELOPE, timeout=5)) for _ in range(20)} == served_by(flows)


@pytest.mark.usefixtures("layer_7")
def test_a_websocket_passes(ports: dict[int, int]) -> None:
    with connect(f"ws://127.0.0.1:{ports[8080]}/") as client:
        for number in range(3):
            client.send(json.dumps({"id": number, "endpoint": "/pid", "data": ["x"]}))
            assert json.loads(client.recv(timeout=5))["id"] == number


@pytest.mark.usefixtures("layer_7")
def test_a_flow_that_ends_is_not_missed(flows: list[Flow], ports: dict[int, int], tmp_path: Path) -> None:
    third = Flow(protocol="http", port=free_ports(1)[0]).add(uses=Probe, name="probe").start()
    others = {**ports, 8082: third.port, **dict(zip((8080, 8090), free_ports(2), strict=True))}
    with nginx("nginx-l7.conf", others, tmp_path):
        try:
            assert {over_http(others[8080]) for _ in range(10)} == {flows[0].pids()["probe"], third.pids()["probe"]}
        finally:
            third.close()
        assert {over_http(others[8080]) for _ in range(10)} == {flows[0].pids()["probe"]}


@pytest.mark.skipif(not STREAM.exists(), reason="nginx has no stream module (libnginx-mod-stream)")
def test_layer_4_balances_connections(flows: list[Flow], ports: dict[int, int], tmp_path: Path) -> None:
    others = {**ports, **dict(zip((8080, 8090), free_ports(2), strict=True))}
    with nginx("nginx-l4.conf", others, tmp_path):
        connection = http.client.HTTPConnection("127.0.0.1", others[8080], timeout=20)
        assert len({asked(connection) for _ in range(10)}) == 1, "what is sent over one connection goes to one Flow"
        connection.close()
        assert {over_http(others[8080]) for _ in range(10)} == served_by(flows)
        assert {over_grpc(others[8090]) for _ in range(10)} == served_by(flows)


@pytest.mark.skipif(not STREAM.exists(), reason="nginx has no stream module (libnginx-mod-stream)")
def test_behind_layer_4_a_client_spreads_when_it_is_told_to_connect_again(
    flows: list[Flow], ports: dict[int, int], tmp_path: Path
) -> None:
    others = {**ports, **dict(zip((8080, 8090), free_ports(2), strict=True))}
    seen: set[int] = set()
    with nginx("nginx-l4.conf", others, tmp_path), Client(port=others[8090], protocol="grpc") as client:
        deadline = time.monotonic() + 20
        while len(seen) < 2 and time.monotonic() < deadline:
            seen.add(client.post("/pid", ["x"])[0].tags["pid"])
            time.sleep(0.1)
    assert seen == served_by(flows)
