"""What a Flow and a worker in a container say to each other besides requests: the private pipe's messages, plain.

The same messages as on the private pipe, over TCP: as msgpack of a few known records, so that neither side runs
anything that the other one wrote. Used by both sides.
"""

import socket
import sys
from typing import Any

import cloudpickle
import msgspec

from dure.device.context import parse_context
from dure.device.transfer import Moved, Route, Transfers
from dure.errors import DecodeError, DureError, from_wire, to_wire
from dure.spec import BatchSpec
from dure.transport.control import Control
from dure.transport.failure import Failure, rebuild, take_apart
from dure.transport.messages import VERSION
from dure.worker.assignment import Assignment, Hosted
from dure.worker.metrics import ReplicaMetrics

_MAX_BYTES = 16 * 2**20
BUNDLE = "."
"""Where a worker in a container finds its bundle: in the image's working folder."""


class Task(msgspec.Struct, frozen=True, kw_only=True, tag="task"):
    """To a worker: what it is to do. Which Executor, the image says."""

    name: str
    replica: int
    replicas: int
    uses_with: dict[str, Any]
    uses_requests: dict[str, str]
    batching: BatchSpec | None
    concurrency: int
    cache_size: int


class Question(msgspec.Struct, frozen=True, tag="question"):
    """To a worker: what have you done? With a number, that stands in the answer."""

    number: int


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """From a worker, first: which dure it is, and which version of the wire it speaks."""

    dure: str
    wire: int = VERSION


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """From a worker: it listens."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """From a worker: why it could not start. `known` are the fields of an error of dure's own."""

    name: str
    text: str
    traceback: str
    known: dict[str, Any] | None


class Figures(msgspec.Struct, frozen=True, kw_only=True, tag="figures"):
    """From a worker: what it has done. `routes` are from, to, where, moves, bytes, seconds."""

    question: int
    num_calls: int
    num_requests: int
    num_documents: int
    compute_s: float
    stages: dict[str, float]
    routes: list[tuple[str, str, str, int, int, float]]


class Word(msgspec.Struct, frozen=True, tag="word"):
    """To a worker: are you there? And its answer."""

    word: str


class PlainControl(Control):
    """One end of the control connection.

    Args:
        sock: For messages.
        lifeline: On which nothing is said.
        heard: What may be said to this end.
    """

    def __init__(self, sock: socket.socket, lifeline: socket.socket, heard: Any) -> None:
        super().__init__(sock, lifeline)
        self._decoder = msgspec.msgpack.Decoder(heard)

    def _pack(self, message: Any) -> bytes:
        return msgspec.msgpack.encode(_plain(message))

    def _unpack(self, data: bytes) -> Any:
        try:
            return _meant(self._decoder.decode(data))
        except (msgspec.MsgspecError, DureError, TypeError, ValueError) as error:
            raise DecodeError(f"what came over the control connection is no message: {error}") from error

    def _size(self, size: int) -> int:
        if size > _MAX_BYTES:
            raise DecodeError(
                f"a message of {size:,} bytes over the control connection; at most {_MAX_BYTES:,} are read"
            )
        return size


def worker_end(sock: socket.socket, lifeline: socket.socket) -> PlainControl:
    """Return the end of a worker in a container."""
    return PlainControl(sock, lifeline, Task | Question | Word)


def flow_end(sock: socket.socket, lifeline: socket.socket) -> PlainControl:
    """Return the end of the process that started the container."""
    control = PlainControl(sock, lifeline, Hello | Ready | Failed | Figures | Word)
    control.keep_from_forks()
    return control


def _plain(message: Any) -> Any:
    """Turn a message of the private pipe into a record of this module."""
    if isinstance(message, msgspec.Struct):
        return message
    if isinstance(message, int):
        return Question(message)
    if isinstance(message, str):
        return Word(message)
    if "ready" in message:
        return Ready()
    if "failed" in message:
        return _failed(message["failed"])
    return _figures(message["metrics"], message["figures"])


def _failed(failure: Failure) -> Failed:
    original = rebuild(failure)  # the worker's own, that it has just taken apart
    known = to_wire(original) if isinstance(original, DureError) else None
    return Failed(failure.name, failure.text, failure.traceback, known)


def _figures(question: int, figures: ReplicaMetrics) -> Figures:
    routes = [
        (str(route.source), str(route.target), route.where, moved.num_moves, moved.num_bytes, moved.seconds)
        for route, moved in figures.transfers.routes.items()
    ]
    return Figures(
        question=question,
        num_calls=figures.num_calls,
        num_requests=figures.num_requests,
        num_documents=figures.num_documents,
        compute_s=figures.compute_s,
        stages=figures.stages,
        routes=routes,
    )


def _meant(record: Any) -> Any:
    """Turn a record of this module into the message of the private pipe that it stands for."""
    match record:
        case Task():
            return _assignment(record)
        case Question(said) | Word(said):
            return said
        case Ready():
            return {"ready": ""}
        case Failed():
            return {"failed": _failure(record)}
        case Figures():
            return {"metrics": record.question, "figures": _metrics(record)}
    return record


def _failure(told: Failed) -> Failure:
    if told.known is not None:
        return take_apart(from_wire(told.known))
    return Failure(name=told.name, text=told.text, traceback=told.traceback, pickles=[])


def _assignment(task: Task) -> Assignment:
    hosted = Hosted(
        name=task.name,
        uses=cloudpickle.dumps(BUNDLE),
        uses_with=cloudpickle.dumps(task.uses_with),
        uses_requests=task.uses_requests,
        py_modules=[],
        batching=task.batching,
    )
    return Assignment(
        sys_path=sys.path,
        name=task.name,
        replica=task.replica,
        replicas=task.replicas,
        hosted=[hosted],
        device=None,
        context=None,
        concurrency=task.concurrency,
        cache_size=task.cache_size,
        address="",
    )


def _metrics(figures: Figures) -> ReplicaMetrics:
    routes = {
        Route(parse_context(source), parse_context(target), where): Moved(moves, size, seconds)
        for source, target, where, moves, size, seconds in figures.routes
    }
    return ReplicaMetrics(
        num_calls=figures.num_calls,
        num_requests=figures.num_requests,
        num_documents=figures.num_documents,
        compute_s=figures.compute_s,
        stages=figures.stages,
        transfers=Transfers(routes),
    )
