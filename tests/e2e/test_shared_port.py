"""One port for HTTP, WebSocket and gRPC: each is told from the other, large and many; clients keep their addresses."""

import contextlib
import json
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from dure import Client, Document, Executor, Flow, requests
from dure.gateway.grpc_guard import _address_of
from dure.gateway.shared_port import clients


class Echo(Executor):
    @requests(on="/echo")
    def echo(self, docs, **kwargs):  # type: ignore[no-untyped-def]
        for doc in docs:
            doc.tags["length"] = len(doc.text)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "audit.jsonl"


@pytest.fixture(scope="module")
def flow(audit: Path) -> Iterator[Flow]:
    port = free_port()
    gateway = {"protocol": ["http", "websocket", "grpc"], "port": [port] * 3, "audit_file": str(audit)}
    with Flow(**gateway).add(uses=Echo) as started:
        yield started


def grpc_client(port: int) -> Client:
    return Client(port=port, protocol="grpc")


def test_both_are_answered(flow: Flow) -> None:
    port = flow.port
    assert set(flow.ports.values()) == {port}
    body = json.dumps({"data": ["abc"]}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/echo", body, timeout=10) as answer:
        assert json.load(answer)["data"][0]["tags"] == {"length": 3}
    with grpc_client(port) as client:
        assert client.post("/echo", "abcd")[0].tags == {"length": 4}


def test_much_goes_through(flow: Flow) -> None:
    texts = ["x" * 10_000_000, *("y" * (i % 7000) for i in range(3000))]
    with grpc_client(flow.port) as client:
        back = client.post("/echo", [Document(text=text) for text in texts], request_size=50)
    assert [doc.tags["length"] for doc in back] == [len(text) for text in texts]


def test_many_at_once(flow: Flow) -> None:
    answers: list[int] = []

    def ask(number: int) -> None:
        with grpc_client(flow.port) as client:
            answers.append(client.post("/echo", "x" * number)[0].tags["length"])

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers) == list(range(20))


@pytest.mark.parametrize(
    "begun", [b"", b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage" * 100]
)
def test_who_goes_away_is_forgotten(flow: Flow, begun: bytes) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", flow.port), 5) as sock:
            sock.sendall(begun)
    with grpc_client(flow.port) as client:
        assert client.post("/echo", "still there")[0].tags == {"length": 11}


def test_slow_beginnings_are_put_together(flow: Flow) -> None:
    with socket.create_connection(("127.0.0.1", flow.port), 5) as sock:
        for byte in (
            b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\nConnection: close\r\n\r\n"
            + b'{"data": ["abc"]}'[:16]
        ):
            sock.sendall(bytes([byte]))
        assert sock.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 200")


def test_the_guard_sees_who_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(clients, 50123, "192.0.2.7")
    assert _address_of("ipv4:127.0.0.1:50123") == "192.0.2.7"
    assert _address_of("ipv4:127.0.0.1:50124") == "127.0.0.1"
    assert _address_of("ipv4:192.0.2.8:50123") == "192.0.2.8"
    assert _address_of("ipv6:%5B::1%5D:5000") == "::1"


def forward(listener: socket.socket, port: int, source: str) -> None:
    """Pass one connection on to a port of this machine, so that it comes from another address."""
    near, _ = listener.accept()
    far = socket.create_connection(("127.0.0.1", port), 10, source_address=(source, 0))

    def pump(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for sock in (one, other):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    back = threading.Thread(target=pump, args=(far, near))
    back.start()
    pump(near, far)
    back.join(10)
    near.close()
    far.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, loopback is one address")
def test_the_address_is_the_client_s(flow: Flow, audit: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=forward, args=(listener, flow.port, "127.0.0.5"))
        thread.start()
        with grpc_client(listener.getsockname()[1]) as client:
            client.post("/echo", "x")
        thread.join(20)
    deadline = time.monotonic() + 10
    while "127.0.0.5" not in audit.read_text(encoding="utf-8"):  # it is written from time to time
        assert time.monotonic() < deadline
        time.sleep(0.05)
    lines = [json.loads(line) for line in audit.read_text(encoding="utf-8").splitlines()]
    assert {line["protocol"] for line in lines if line["address"] == "127.0.0.5"} == {"grpc"}
