"""Control messages as plain data: what is said arrives, and nothing of what a container sends is ever run."""

import pickle
import socket
import struct
from collections.abc import Iterator
from typing import Any

import cloudpickle
import msgspec
import pytest

from dure.device.context import cpu, gpu
from dure.device.transfer import Moved, Route, Transfers
from dure.errors import DecodeError, SpecError
from dure.spec import BatchSpec
from dure.transport.failure import rebuild, take_apart
from dure.worker.assignment import Assignment
from dure.worker.metrics import ReplicaMetrics
from dure.worker.plain_control import Hello, PlainControl, Task, flow_end, worker_end


@pytest.fixture
def ends() -> Iterator[tuple[PlainControl, PlainControl]]:
    (a, b), (c, d) = socket.socketpair(), socket.socketpair()
    flow, worker = flow_end(a, c), worker_end(b, d)
    yield flow, worker
    flow.close()
    worker.close()


def test_a_worker_is_told_what_to_do(ends: tuple[PlainControl, PlainControl]) -> None:
    flow, worker = ends
    task = Task(
        name="encoder",
        replica=1,
        replicas=2,
        uses_with={"device": "cuda", "sizes": [1, 2], "more": {"a": None}},
        uses_requests={"/a": "b"},
        batching=BatchSpec(max_batch_size=3),
        concurrency=4,
        cache_size=5,
    )
    flow.send(task)
    told = worker.receive()
    assert isinstance(told, Assignment)
    assert (told.name, told.replica, told.replicas, told.concurrency, told.cache_size) == ("encoder", 1, 2, 4, 5)
    hosted = told.hosted[0]
    assert cloudpickle.loads(hosted.uses) == "."
    assert cloudpickle.loads(hosted.uses_with) == task.uses_with
    assert (hosted.uses_requests, hosted.batching) == ({"/a": "b"}, BatchSpec(max_batch_size=3))


def test_questions_and_answers(ends: tuple[PlainControl, PlainControl]) -> None:
    flow, worker = ends
    figures = ReplicaMetrics(
        num_calls=1,
        num_requests=2,
        num_documents=3,
        compute_s=0.5,
        stages={"tokenize": 0.25},
        transfers=Transfers({Route(cpu(), gpu(1), "a.py:7"): Moved(1, 8, 0.125)}),
    )
    flow.send(7)
    flow.send("alive")
    assert (worker.receive(), worker.receive()) == (7, "alive")
    for message in ("alive", {"ready": "somewhere"}, {"metrics": 7, "figures": figures}, Hello("1.2.3")):
        worker.send(message)
    assert flow.receive() == "alive"
    assert flow.receive() == {"ready": ""}
    answer = flow.receive()
    assert answer["metrics"] == 7
    assert answer["figures"].transfers.routes == figures.transfers.routes
    assert msgspec.structs.replace(answer["figures"], transfers=figures.transfers) == figures
    assert flow.receive() == Hello("1.2.3")


class Unknown(Exception):
    pass


def test_why_it_could_not_start(ends: tuple[PlainControl, PlainControl]) -> None:
    flow, worker = ends
    worker.send({"failed": take_apart(SpecError("uses_with.x: no"))})
    own = rebuild(flow.receive()["failed"])
    assert type(own) is SpecError
    assert str(own) == "uses_with.x: no"
    worker.send({"failed": take_apart(Unknown("deep"))})
    failure = flow.receive()["failed"]
    assert failure.pickles == []
    assert failure.name.endswith("Unknown")
    assert (failure.text, type(rebuild(failure)).__name__) == ("deep", Unknown.__qualname__)


def _record(tag: str, **fields: Any) -> bytes:
    return msgspec.msgpack.encode({"type": tag, **fields})


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps({"ready": "x"}),
        cloudpickle.dumps(Hello("1")),
        b"",
        b"\xc1",
        _record("task", name="x"),
        _record("question", number=1),
        _record("failed", name="", text="", traceback="", known={"code": "spec", "message": "", "__class__": 1}),
        _record(
            "figures",
            question=1,
            num_calls=0,
            num_requests=0,
            num_documents=0,
            compute_s=0.0,
            stages={},
            routes=[["moon", "cpu", "", 0, 0, 0.0]],
        ),
    ],
)
def test_what_is_no_message_to_a_flow(ends: tuple[PlainControl, PlainControl], data: bytes) -> None:
    flow, worker = ends
    worker.socket.sendall(struct.pack("<I", len(data)) + data)
    with pytest.raises(DecodeError):
        flow.receive()


def test_a_message_of_gigabytes_is_not_waited_for(ends: tuple[PlainControl, PlainControl]) -> None:
    flow, worker = ends
    worker.socket.sendall(struct.pack("<I", 0xFFFFFFFF))
    with pytest.raises(DecodeError, match="4,294,967,295 bytes"):
        flow.receive()
