"""WebSocket and gRPC of a running Flow, given anything."""

import contextlib
import json
import os
import socket
import struct
from typing import Any

import grpc
import pytest
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from dure.document import dure_pb2 as pb
from tests.fuzz.mutation import around, as_json, odd
from tests.fuzz.samples import BODIES, ENVELOPES, INFERENCE_MESSAGES, envelope
from tests.fuzz.search import Search
from tests.fuzz.service import Service

WELL = json.dumps({"id": "well", "endpoint": "/upper", "data": [{"id": "a", "text": "hands"}]})
WELL_ANSWER = {"id": "well", "data": [{"id": "a", "text": "HANDS"}]}
FAULTS = {"internal", "executor"}
_ASKED = (1000, 1001, 1002, 1003, 1007, 1009)
"""Codes of closing that are the client's doing."""


def check_socket(service: Service, messages: list[str | bytes]) -> None:
    """Send messages, then one that is well: it is answered, and nothing before it came to a fault of the service."""
    with connect(f"ws://127.0.0.1:{service.ports['websocket']}/", max_size=None, open_timeout=20) as one:
        try:
            for message in messages:
                one.send(message)
            one.send(WELL)
            _read_until_well(one)
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else None
            if code not in _ASKED:
                raise


def _read_until_well(one: ClientConnection) -> None:
    while True:
        answer = one.recv(timeout=20)
        if isinstance(answer, bytes):
            for reply in pb.RepliesEnvelope.FromString(answer).replies:
                assert reply.error.code not in FAULTS, reply
            continue
        found = json.loads(answer)
        assert found.get("error", {}).get("code") not in FAULTS, found
        if found["id"] == "well":
            assert found == WELL_ANSWER
            return


def test_frames_of_a_websocket(search: Search, service: Service) -> None:
    texts = as_json(odd(BODIES[2:])) | around([json.dumps(body).encode() for body in BODIES])
    text_frames = texts.map(lambda data: data.decode(errors="replace"))
    frames = text_frames | around(ENVELOPES) | _envelopes()
    search(st.lists(frames, min_size=1, max_size=8), lambda messages: check_socket(service, messages))


def _envelopes() -> st.SearchStrategy[bytes]:
    def built(timeouts: list[float], rows: int, priority: int) -> bytes:
        requests = [envelope(i) for i in range(len(timeouts))]
        for request, timeout_s in zip(requests, timeouts, strict=True):
            request.timeout_s, request.priority = timeout_s, priority
        requests[0].documents = pb.Documents(rows=rows).SerializeToString()
        return pb.RequestsEnvelope(requests=requests).SerializeToString()

    numbers = st.sampled_from([0, 1, 2**31, 2**32 - 1])
    priorities = st.sampled_from([0, 2**31 - 1, -(2**31)])
    return st.builds(built, st.lists(st.floats(), min_size=1, max_size=3), numbers, priorities)


def _frame(first: int, length: bytes, data: bytes) -> bytes:
    mask = os.urandom(4)
    return bytes([first]) + length + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


GARBAGE = [
    *(b"\xff" * 64, b"GET / HTTP/1.1\r\n\r\n", _frame(0x83, b"\x85", b"hello"), b"\x81\x05hello"),  # not masked
    _frame(0x81, b"\xff" + b"\xff" * 8, b""),
    _frame(0x81, b"\xff" + struct.pack("!Q", 2**40), b"x"),
    _frame(0x82, b"\xfe\x00\x01", b"x") * 3,
    _frame(0x89, b"\xfe\x01\x00", b"x" * 256),  # a ping that is too long
    _frame(0x80, b"\x81", b"x"),  # goes on where nothing was begun
    _frame(0x01, b"\x81", b"{") * 2000,
    _frame(0xF1, b"\x81", b"x"),
    _frame(0x88, b"\x81", b"x"),
    _frame(0x81, b"\x82", b"\xc3\x28"),
    _frame(0x88, b"\x82", struct.pack("!H", 5)),
]

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def test_bytes_after_an_upgrade(search: Search, service: Service) -> None:
    def check(data: bytes) -> None:
        with socket.create_connection(("127.0.0.1", service.ports["websocket"]), timeout=5) as one:
            one.sendall(UPGRADE)
            assert one.recv(4096).startswith(b"HTTP/1.1 101")
            one.settimeout(0.05)
            with contextlib.suppress(OSError):
                one.sendall(data)
                answer = one.recv(4096)
                assert answer[:2] not in (b"\x88\x02",) or answer[2:4] != struct.pack("!H", 1011), answer

    search(st.sampled_from(GARBAGE) | around(GARBAGE), check)


UNARY = [
    *("/dure.v1.Flow/Post", "/grpc.health.v1.Health/Check", "/dure.v1.Flow/None", "/../../x", "/"),
    *(
        f"/inference.GRPCInferenceService/{name}"
        for name in (
            *("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelConfig"),
            *("ModelStatistics", "RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload", "ModelInfer"),
            *("SystemSharedMemoryRegister", "TraceSetting", "LogSettings"),
        )
    ),
]
STREAMING = [
    "/dure.v1.Flow/Stream",
    "/inference.GRPCInferenceService/ModelStreamInfer",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
]
_STATUS = grpc.StatusCode
OURS = {_STATUS.UNKNOWN, _STATUS.INTERNAL, _STATUS.DATA_LOSS, _STATUS.DEADLINE_EXCEEDED}
"""Statuses of a fault of the service."""


def _same(data: bytes) -> bytes:
    return data


@pytest.fixture
def channel(service: Service) -> Any:
    with grpc.insecure_channel(f"127.0.0.1:{service.ports['grpc']}") as channel:
        yield channel


def test_messages_to_every_method_of_grpc(search: Search, channel: grpc.Channel) -> None:
    def check(given: tuple[str, list[bytes], tuple[tuple[str, str], ...]]) -> None:
        method, data, metadata = given
        try:
            if method in STREAMING:
                list(channel.stream_stream(method, _same, _same)(iter(data), timeout=10, metadata=metadata))
            else:
                channel.unary_unary(method, _same, _same)(data[0], timeout=10, metadata=metadata)
        except grpc.RpcError as error:
            if error.code() in OURS:
                raise

    valid = [*INFERENCE_MESSAGES, envelope().SerializeToString(), *ENVELOPES, b"", b"\n\x05upper", b"\x12\x05upper"]
    metadata = st.lists(
        st.tuples(
            st.sampled_from(["authorization", "x-api-key", "traceparent", "dure-x"]),
            st.sampled_from(["", "Bearer ", "x" * 4000, "00-1-1-1", "Basic *"]),
        ),
        max_size=2,
    ).map(tuple)
    messages = st.lists(around(valid), min_size=1, max_size=4)
    search(st.tuples(st.sampled_from([*UNARY, *STREAMING]), messages, metadata), check)


def test_bytes_to_the_port_of_grpc(search: Search, service: Service) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    settings = b"\0\0\0\4\0\0\0\0\0"
    valid = [
        preface + settings,
        preface + settings + b"\0\0\5\1\4\0\0\0\1\x82\x84\x86\x41\x01",
        preface + settings + b"\xff\xff\xff\0\0\0\0\0\1",
        preface + settings + b"\0\0\4\3\0\0\0\0\1\0\0\0\0" * 300,
        b"GET / HTTP/1.1\r\n\r\n",
    ]

    def check(data: bytes) -> None:
        with socket.create_connection(("127.0.0.1", service.ports["grpc"]), timeout=5) as one:
            one.settimeout(0.03)
            with contextlib.suppress(OSError):
                one.sendall(data)
                one.recv(4096)

    search(around(valid), check)
