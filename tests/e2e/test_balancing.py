"""Several Flows behind one address: on one port that they share, and clients who are told to connect again.

What stands in front of them elsewhere, nginx, is in `test_nginx.py`.
"""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from dure import Client, Flow
from dure.document import dure_pb2 as pb
from dure.errors import SpecError, StartFailed
from tests.e2e.probe import Probe

ENOUGH = 40
"""Connections: that all of them go to one of two by chance has the odds of 1 in 2 to the 39th."""


ENVELOPE = pb.RequestEnvelope(endpoint="/pid", documents=pb.Documents(rows=1, text=["x"]).SerializeToString())


def unary(channel: grpc.Channel) -> Any:
    return channel.unary_unary("/dure.v1.Flow/Post", pb.RequestEnvelope.SerializeToString, pb.ReplyEnvelope.FromString)


def pid_of(reply: pb.ReplyEnvelope) -> int:
    return int(json.loads(pb.Documents.FromString(reply.documents).tags_json[0])["pid"])


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def asked(connection: http.client.HTTPConnection) -> int:
    connection.request("POST", "/pid", json.dumps({"data": ["x"]}))
    answer = json.loads(connection.getresponse().read())
    return int(answer["data"][0]["tags"]["pid"])


def over_http(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        return asked(connection)
    finally:
        connection.close()


def over_grpc(port: int) -> int:
    with Client(port=port, protocol="grpc") as client:
        return int(client.post("/pid", ["x"])[0].tags["pid"])


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Flow, Flow]]:
    settings: dict[str, Any] = {"protocol": ["http", "grpc"], "port": free_ports(2), "reuse_port": True}
    with (
        Flow(**settings).add(uses=Probe, name="probe") as one,
        Flow(**settings).add(uses=Probe, name="probe") as other,
    ):
        yield one, other


@pytest.mark.parametrize(("protocol", "ask"), [("http", over_http), ("grpc", over_grpc)])
def test_the_kernel_spreads_connections_over_flows_on_one_port(
    pair: tuple[Flow, Flow], protocol: str, ask: Any
) -> None:
    pids = {flow.pids()["probe"] for flow in pair}
    assert {ask(pair[0].ports[protocol]) for _ in range(ENOUGH)} == pids


def test_each_flow_s_own_channel_is_its_own(pair: tuple[Flow, Flow]) -> None:
    for flow in pair:
        for _ in range(5):
            assert flow.post("/pid", ["x"])[0].tags["pid"] == flow.pids()["probe"]
    by_address = {Client(port=pair[0].ports["grpc"]).post("/pid", ["x"])[0].tags["pid"] for _ in range(ENOUGH)}
    assert len(by_address) == 2, "whoever calls by the address gets either"


def test_one_flow_takes_the_port_of_another_over_and_nothing_is_lost() -> None:
    settings: dict[str, Any] = {"protocol": "http", "port": free_ports(1)[0], "reuse_port": True}
    old = Flow(**settings).add(uses=Probe, name="probe").start()
    try:
        first = over_http(old.port)
        with Flow(**settings).add(uses=Probe, name="probe") as new:
            old.close()
            assert {over_http(new.port) for _ in range(10)} == {new.pids()["probe"]}
            assert first != new.pids()["probe"]
            assert new.post("/pid", ["x"])[0].tags["pid"] == new.pids()["probe"]
    finally:
        old.close()


def test_a_port_is_shared_with_nobody_who_did_not_say_so(pair: tuple[Flow, Flow]) -> None:
    for protocol in ("http", "grpc"):
        with pytest.raises(StartFailed, match="cannot be listened on"):
            Flow(protocol=protocol, port=pair[0].ports[protocol]).add(uses=Probe).start()
    with pytest.raises(SpecError, match="say which port is shared"):
        Flow(reuse_port=True)


@pytest.fixture(scope="module")
def ageing() -> Iterator[Flow]:
    with Flow(protocol=["http", "websocket", "grpc"], max_connection_age_s=0.5).add(uses=Probe, name="probe") as flow:
        yield flow


def test_an_old_http_connection_ends_with_an_answer(ageing: Flow) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", ageing.ports["http"], timeout=20)
    connection.connect()
    connection.request("POST", "/sleep", json.dumps({"data": ["0.8"]}))
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("connection") == "close"
    answer.read()
    connection.close()
    young = http.client.HTTPConnection("127.0.0.1", ageing.ports["http"], timeout=20)
    young.request("POST", "/pid", json.dumps({"data": ["x"]}))
    assert young.getresponse().getheader("connection") is None
    young.close()


def test_an_idle_http_connection_is_closed(ageing: Flow) -> None:
    with socket.create_connection(("127.0.0.1", ageing.ports["http"])) as raw:
        raw.settimeout(5)
        began = time.monotonic()
        assert raw.recv(1) == b""
        assert 0.4 < time.monotonic() - began < 2


def test_a_request_that_is_just_coming_is_answered(ageing: Flow) -> None:
    body = json.dumps({"data": ["x"]}).encode()
    head = b"POST /pid HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", ageing.ports["http"])) as raw:
        raw.settimeout(5)
        raw.sendall(head)
        time.sleep(0.8)
        raw.sendall(b"\r\n" + body)
        answer = b""
        while piece := raw.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer


def test_an_old_websocket_is_answered_and_told_to_connect_again(ageing: Flow) -> None:
    with connect(f"ws://127.0.0.1:{ageing.ports['websocket']}/") as client:
        client.send(json.dumps({"id": 1, "endpoint": "/sleep", "data": ["0.8"]}))
        assert json.loads(client.recv(timeout=5))["id"] == 1
        with pytest.raises(ConnectionClosed, match="connect again"):
            client.recv(timeout=5)


def test_a_grpc_client_connects_again_by_itself(ageing: Flow) -> None:
    """Every connection has another port on the client's side; a reconnecting channel shows several of them."""
    seen = set()
    with grpc.insecure_channel(f"127.0.0.1:{ageing.ports['grpc']}") as channel:
        call = unary(channel)
        for _ in range(12):
            assert pid_of(call(ENVELOPE, timeout=5)) == ageing.pids()["probe"]
            seen |= established_to(ageing.ports["grpc"])
            time.sleep(0.2)
    assert len(seen) >= 2


def established_to(port: int) -> set[int]:
    """Return the local ports of this process's connections to a port."""
    found = psutil.Process().net_connections("tcp")
    return {one.laddr.port for one in found if one.raddr and one.raddr.port == port and one.status == "ESTABLISHED"}
