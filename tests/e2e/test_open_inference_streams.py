"""Streams of inference requests, by the real clients of the Open Inference Protocol."""

import queue
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from dure import Flow
from tests.e2e.triton import connect, open_flow, texts


@pytest.fixture(scope="module")
def flow() -> Iterator[Flow]:
    with open_flow() as running:
        yield running


@pytest.fixture(name="grpc")
def grpc_client(flow: Flow) -> Iterator[Any]:
    with connect(flow, "grpc") as client:
        yield client


class Answers:
    """What comes back on a stream, as (id, texts or None, whether it is the last) or an error's message."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue()

    def __call__(self, result: Any, error: Any) -> None:
        self._queue.put(error.message() if error is not None else seen(result))

    def take(self, count: int) -> list[Any]:
        return [self._queue.get(timeout=20) for _ in range(count)]


def seen(result: Any) -> tuple[str, Any, bool]:
    response = result.get_response()
    found = result.as_numpy("text")
    values = None if found is None else [text.decode() for text in found]
    return response.id, values, response.parameters["triton_final_response"].bool_param


@pytest.fixture
def answers(grpc: Any) -> Iterator[Answers]:
    found = Answers()
    grpc.start_stream(found)
    yield found
    grpc.stop_stream()


def test_a_generator_answers_a_stream_in_parts(grpc: Any, answers: Answers) -> None:
    grpc.async_stream_infer("words", [texts(grpc, "a 나")], request_id="1", enable_empty_final_response=True)
    assert answers.take(3) == [("1", ["a"], False), ("1", ["나"], False), ("1", None, True)]
    grpc.async_stream_infer("words", [texts(grpc, "c")], request_id="2")
    assert answers.take(1) == [("2", ["c"], False)]


def test_a_stream_survives_errors(grpc: Any, answers: Answers) -> None:
    grpc.async_stream_infer("words", [texts(grpc, "a b")], parameters={"fail_at": 1})
    part, error = answers.take(2)
    assert part == ("", ["a"], False)
    assert "no more words" in error
    grpc.async_stream_infer("nothing", [texts(grpc, "a")])
    assert "no model" in answers.take(1)[0]
    grpc.async_stream_infer("slow", [texts(grpc, "a")], timeout=50_000)
    assert "0.05 s" in answers.take(1)[0]
    grpc.async_stream_infer("encode", [texts(grpc, "a")], request_id="3")
    assert answers.take(1) == [("3", ["a"], True)]


def test_a_stream_is_answered_in_order(grpc: Any, answers: Answers) -> None:
    """Also when a later request is refused at once, or is done sooner."""
    grpc.async_stream_infer("slow", [texts(grpc, "slow")], request_id="1", parameters={"seconds": 0.3})
    grpc.async_stream_infer("nothing", [texts(grpc, "wrong")], request_id="2")
    for i in range(3, 9):
        grpc.async_stream_infer("encode", [texts(grpc, str(i))], request_id=str(i))
    first, second, *rest = answers.take(8)
    assert first == ("1", ["slow"], True)
    assert "no model" in second
    assert rest == [(str(i), [str(i)], True) for i in range(3, 9)]


async def test_a_stream_from_an_event_loop(flow: Flow) -> None:
    async def asked(client: Any) -> AsyncIterator[dict[str, Any]]:
        for i in range(3):
            yield {"model_name": "encode", "inputs": [texts(client, f"{i}")], "request_id": str(i)}

    async with connect(flow, "grpc", aio=True) as client:
        found = [(seen(result), error) async for result, error in client.stream_infer(asked(client))]
    assert found == [((str(i), [str(i)], True), None) for i in range(3)]
