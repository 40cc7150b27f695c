"""The WebSocket door: many requests at once on one connection, streams, withdrawals, and the end of either side."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import connect as async_connect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from dure import Document, DocumentArray, Executor, Flow, batching, requests
from dure.document import dure_pb2 as pb
from dure.document import protobuf


class Well(Executor):
    def __init__(self, path: str = "/dev/null", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path

    @requests(on="/echo")
    def echo(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Give back what came."""

    @requests(on="/wait")
    async def wait(self, docs: DocumentArray, **kwargs: Any) -> None:
        await asyncio.sleep(float(docs[0].text))

    @requests(on="/log")
    @batching(max_batch_size=1)
    def log(self, docs: DocumentArray, **kwargs: Any) -> None:
        with open(self.path, "a") as file:
            file.write(docs[0].text + "\n")
        time.sleep(0.2)

    @requests(on="/count")
    async def count(self, docs: DocumentArray, **kwargs: Any) -> Any:
        for number in range(int(docs[0].text)):
            yield Document(text=str(number))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("well") / "log"


@pytest.fixture(scope="module")
def flow(path: Path) -> Iterator[Flow]:
    well: dict[str, Any] = {"uses": Well, "name": "well", "uses_with": {"path": str(path)}, "timeout_ready_s": 20}
    with Flow(protocol="websocket", max_request_bytes=2**20).add(**well) as running:
        yield running


@pytest.fixture
def socket(flow: Flow) -> Iterator[ClientConnection]:
    with connect(f"ws://127.0.0.1:{flow.port}/") as opened:
        yield opened


def ask(socket: ClientConnection, number: Any, endpoint: str, text: str, **more: Any) -> None:
    socket.send(json.dumps({"id": number, "endpoint": endpoint, "data": [{"text": text}], **more}))


def answer(socket: ClientConnection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(socket.recv(timeout=10))
    return found


def texts(told: dict[str, Any]) -> list[str]:
    return [doc["text"] for doc in told["data"]]


def test_many_at_once_are_answered_as_they_are_done(socket: ClientConnection) -> None:
    ask(socket, "slow", "/wait", "0.3")
    ask(socket, 2, "/wait", "0.1")
    ask(socket, 3, "/echo", "now")
    assert [answer(socket)["id"] for _ in range(3)] == [3, 2, "slow"]


def test_parts_come_one_by_one_if_asked(socket: ClientConnection) -> None:
    ask(socket, 1, "/count", "3", stream=True)
    told = [answer(socket) for _ in range(4)]
    assert [one.get("part", False) for one in told] == [True, True, True, False]
    assert [texts(one) for one in told] == [["0"], ["1"], ["2"], []]
    ask(socket, 1, "/count", "3")
    assert texts(answer(socket)) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("message", "number", "words"),
    [
        ("{", None, "not JSON"),
        ('{"id": 5, "endpoint": 3}', 5, "Expected `str`, got `int` - at `$.endpoint`"),
        ('{"id": "a", "endpont": "/echo"}', "a", "unknown field `endpont`"),
        ('{"endpoint": "/echo"}', None, "missing required field `id`"),
        ('{"id": 1, "endpoint": "/eco"}', 1, "Did you mean '/echo'?"),
        ('{"id": 1, "endpoint": "/echo", "timeout_s": -3}', 1, "timeout_s"),
    ],
)
def test_what_is_wrong_is_told_and_the_connection_goes_on(
    socket: ClientConnection, message: str, number: Any, words: str
) -> None:
    socket.send(message)
    told = answer(socket)
    assert told["id"] == number
    assert words in told["error"]["message"]
    ask(socket, 2, "/echo", "on")
    assert texts(answer(socket)) == ["on"]


def test_an_id_in_use_is_refused(socket: ClientConnection) -> None:
    ask(socket, 1, "/wait", "0.2")
    ask(socket, 1, "/echo", "again")
    told = [answer(socket), answer(socket)]
    assert "in use" in told[0]["error"]["message"]
    assert texts(told[1]) == ["0.2"]


def test_a_request_can_be_withdrawn(socket: ClientConnection, path: Path) -> None:
    path.write_text("")
    for number in range(5):
        ask(socket, number, "/log", f"{number}")
    time.sleep(0.1)
    for number in range(2, 5):
        socket.send(json.dumps({"id": number, "cancel": True}))
    ask(socket, 9, "/echo", "after")
    assert {answer(socket)["id"] for _ in range(3)} == {0, 1, 9}
    time.sleep(0.5)
    assert path.read_text().split() == ["0", "1"]


def test_who_leaves_costs_nothing_more(flow: Flow, path: Path) -> None:
    path.write_text("")
    with connect(f"ws://127.0.0.1:{flow.port}/") as leaving:
        for number in range(10):
            ask(leaving, number, "/log", f"{number}")
        time.sleep(0.1)
    time.sleep(1.0)
    assert path.read_text().split() in (["0"], ["0", "1"]), "one runs, one may wait in the worker's hands"


def test_binary_frames_are_those_of_the_grpc_door(socket: ClientConnection) -> None:
    documents = protobuf.encode(DocumentArray([Document("둘", id="x")]))
    wanted = [pb.RequestEnvelope(id=number, endpoint="/echo", documents=documents) for number in (7, 8)]
    socket.send(pb.RequestsEnvelope(requests=wanted).SerializeToString())
    replies: dict[int, Any] = {}
    while len(replies) < 2:
        data = socket.recv(timeout=10)
        assert isinstance(data, bytes)
        replies |= {reply.id: reply for reply in pb.RepliesEnvelope.FromString(data).replies}
    assert protobuf.decode(replies[8].documents)[0] == Document("둘", id="x")
    socket.send(b"\xff\xff")
    assert "not a RequestsEnvelope" in answer(socket)["error"]["message"]


def test_too_large_a_message_ends_the_connection(socket: ClientConnection) -> None:
    ask(socket, 1, "/echo", "x" * 2**21)
    with pytest.raises(ConnectionClosed) as raised:
        answer(socket)
    assert raised.value.rcvd is not None
    assert raised.value.rcvd.code == 1009


def test_http_is_not_answered_where_it_was_not_asked_for(flow: Flow) -> None:
    from tests.e2e.doors import post

    status, _, body = post(flow.port, "/echo", {"data": ["a"]})
    assert status == 404
    assert "by WebSocket here" in json.loads(body)["error"]["message"]


def test_who_does_not_read_is_not_sent_to(flow: Flow) -> None:
    gateway = psutil.Process(flow.pids()["gateway"])
    before = gateway.memory_info().rss
    data = [{"text": "x" * 900_000}]

    async def be_lazy() -> None:
        async with async_connect(f"ws://127.0.0.1:{flow.port}/", max_size=None, max_queue=1) as lazy:

            async def send() -> None:
                for number in range(300):
                    await lazy.send(json.dumps({"id": number, "endpoint": "/echo", "data": data}))

            sender = asyncio.create_task(send())
            await asyncio.sleep(2)
            assert not sender.done(), "the Flow reads no more either"
            grown = gateway.memory_info().rss - before
            assert grown < 200 * 2**20, "64 MiB may wait (max_queued_bytes), some of it copied"
            assert {json.loads(await lazy.recv())["id"] for _ in range(300)} == set(range(300))
            await sender

    asyncio.run(be_lazy())


def test_a_flow_that_ends_answers_what_it_has() -> None:
    flow = Flow(protocol="websocket").add(uses=Well, name="well", timeout_ready_s=20).start()
    with connect(f"ws://127.0.0.1:{flow.port}/") as socket:
        ask(socket, 1, "/wait", "0.3")
        time.sleep(0.1)
        os.kill(flow.pids()["gateway"], signal.SIGTERM)
        assert texts(answer(socket)) == ["0.3"]
        with pytest.raises(ConnectionClosed) as raised:
            answer(socket)
        assert raised.value.rcvd is not None
        assert raised.value.rcvd.code == 1001
    flow.close()
