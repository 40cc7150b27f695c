"""Headers of frames."""

import pytest
from msgspec import Struct

from dure.errors import DecodeError
from dure.served import Served
from dure.spec import BatchSpec
from dure.transport import messages
from dure.transport.messages import (
    VERSION,
    BatchCall,
    BatchReply,
    Call,
    EndpointInfo,
    GatewayHello,
    Item,
    Leave,
    Outcome,
    Part,
    Reply,
    Spent,
    WorkerHello,
    check_version,
    decode,
    decode_error,
    encode,
)

SERVED = Served(replica=1, queue_s=0.1, wait_s=0.2, compute_s=0.3, serialize_s=0.4, batch_requests=5, batch_rows=6)

ALL = [
    WorkerHello(VERSION, "이름", {"/x": EndpointInfo(BatchSpec(max_batch_size=3), concurrent=True)}, 2, 2, 1),
    GatewayHello(VERSION, 1000),
    Call("/x", b"\x80", 3, stream=True, priority=-2, timeout_s=0.5, explain=True),
    Reply(3, {"a": b"\x80"}, {"a": SERVED}),
    BatchCall("/x", b"", stream=False, items=[Item("columns", 3, [10, 20])]),
    BatchReply(
        [Outcome(failed=False, rows=3, size=10, result=b""), Outcome(failed=True, rows=0, size=5, result=b"")],
        Spent(0.1, 0.2, 0.3, 4, {"tokenize": 0.05}),
    ),
    Part(3),
    Leave([1, 2]),
]


@pytest.mark.parametrize("message", ALL, ids=lambda message: type(message).__name__)
def test_a_message_comes_back(message: object) -> None:
    assert decode(type(message), encode(message)) == message  # type: ignore[type-var]  # all are records


@pytest.mark.parametrize(
    "header",
    [b"", b"\xff", b"nonsense", b"\x93\xa1\xff\xc4\x00\x01", encode([1, 2]), encode({"endpoint": "/x"}), encode(None)],
)
def test_what_is_no_message_is_refused(header: bytes) -> None:
    with pytest.raises(DecodeError, match="not a Call"):
        decode(Call, header)


def test_every_message_is_here() -> None:
    kinds = {value for value in vars(messages).values() if isinstance(value, type) and issubclass(value, Struct)}
    parts = {EndpointInfo, Item, Outcome, BatchSpec, Served, Spent}
    assert {type(message) for message in ALL} == kinds - parts


def test_versions() -> None:
    check_version(VERSION, "the worker x")
    with pytest.raises(
        DecodeError, match=rf"the worker x speaks version {VERSION + 1} of the wire, this is version {VERSION}"
    ):
        check_version(VERSION + 1, "the worker x")


def test_an_error_that_is_no_map() -> None:
    assert decode_error(encode([1])) == {}
    assert decode_error(encode({"code": "x"})) == {"code": "x"}
