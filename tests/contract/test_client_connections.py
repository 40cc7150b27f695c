"""ONE suite for every way to call a Flow: leaving early, reading slowly, threads, loops, connections."""

import asyncio
import gc
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dure import AsyncClient, Client, Document, Flow
from dure.errors import ConnectionLost, ValidationError
from tests.contract.callers import KINDS, Caller, opened
from tests.contract.services import lines, numbered, overtaking


def test_leaving_a_stream_withdraws_what_is_under_way(caller: Caller, tmp_path: Path) -> None:
    log = tmp_path / "log"
    parameters = {"path": str(log), "seconds": 0.03}
    stream = caller.stream("/log", numbered(60), request_size=1, parameters=parameters)
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # it is a generator
    assert caller.post("/same", "still here").texts == ["still here"]
    done = len(lines(log))
    time.sleep(0.15)
    assert len(lines(log)) == done
    assert done < 60


def test_leaving_a_stream_ends_the_generator_behind_it(caller: Caller, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    stream = caller.stream("/endless", "x", parameters={"path": str(closed)})
    for _ in range(3):
        assert next(stream).texts == ["more"]
    stream.close()  # type: ignore[attr-defined]  # it is a generator
    deadline = time.monotonic() + 5
    while not closed.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert closed.exists()


def test_parts_wait_for_who_reads_slowly(caller: Caller, tmp_path: Path) -> None:
    made = tmp_path / "made"
    parameters = {"path": str(made), "count": 300, "size": 2**20}
    stream = caller.stream("/wide", "x", parameters=parameters)
    next(stream)
    time.sleep(0.5)
    assert int(made.read_text()) < 150, "the parts pile up somewhere"
    assert 1 + sum(len(results) for results in stream) == 300


@pytest.mark.parametrize("protocol", ["native", "grpc"])
def test_one_client_in_many_threads(flow: Flow, protocol: Any) -> None:
    wrong: list[Any] = []

    def work(client: Client, name: int) -> None:
        for i in range(20):
            texts = [f"{name}-{i}-{j}" for j in range(7)]
            back = client.post("/same", texts, request_size=2).texts
            if back != texts:
                wrong.append((texts, back))

    with Client(port=flow.port, protocol=protocol) as client:
        threads = [threading.Thread(target=work, args=(client, name)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


@pytest.mark.parametrize("protocol", ["native", "grpc"])
async def test_one_async_client_in_many_tasks(flow: Flow, protocol: Any) -> None:
    async with AsyncClient(port=flow.port, protocol=protocol) as client:
        posts = [client.post("/sleep", overtaking, request_size=1) for _ in range(8)]
        for back in await asyncio.gather(*posts):
            assert back.texts == [str(i) for i in range(12)]


@pytest.mark.parametrize("protocol", ["native", "grpc"])
async def test_async_inputs(flow: Flow, protocol: Any) -> None:
    async def make(count: int = 5) -> Any:
        for i in range(count):
            yield str(i)

    async def broken() -> Any:
        yield "0"
        raise KeyError("half-way")

    async with AsyncClient(port=flow.port, protocol=protocol) as client:
        assert (await client.post("/same", make, request_size=2)).texts == list("01234")
        assert (await client.post("/same", make(3))).texts == list("012")
        with pytest.raises(KeyError, match="half-way") as caught:
            await client.post("/same", broken)
        assert caught.value.results.texts == ["0"]  # type: ignore[attr-defined]  # documented in post


def test_a_client_that_blocks_refuses_async_inputs(flow: Flow) -> None:
    async def make() -> Any:
        yield "0"

    with Client(port=flow.port) as client, pytest.raises(ValidationError, match="AsyncClient"):
        client.post("/same", make)


@pytest.mark.parametrize("protocol", ["native", "grpc"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a connection of a loop that is gone cannot be closed
def test_an_async_client_on_one_loop_after_the_other(flow: Flow, protocol: Any) -> None:
    client = AsyncClient(port=flow.port, protocol=protocol)

    async def once(text: str) -> list[str]:
        return (await client.post("/same", text)).texts

    assert asyncio.run(once("a")) == ["a"]
    assert asyncio.run(once("b")) == ["b"]
    gc.collect()


def test_cancelling_a_post_withdraws_it(flow: Flow) -> None:
    async def late() -> None:
        async with AsyncClient(port=flow.port) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.post("/sleep", Document(tags={"seconds": 30})), 0.1)
            assert (await client.post("/same", "still here")).texts == ["still here"]

    asyncio.run(late())


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_there(kind: str) -> None:
    with opened(kind, port=1) as caller, pytest.raises(ConnectionLost, match=r"127\.0\.0\.1:1"):
        caller.post("/same", "x")


def test_a_failed_connection_leaves_no_thread() -> None:
    before = threading.active_count()
    for _ in range(3):
        with opened("grpc", port=1) as caller, pytest.raises(ConnectionLost):
            caller.post("/same", "x")
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


@pytest.mark.parametrize("kind", KINDS)
def test_few_in_flight(flow: Flow, kind: str) -> None:
    with opened(kind, flow.port, max_in_flight=1, max_in_flight_bytes=1) as caller:
        assert caller.post("/same", numbered(20), request_size=3).texts == [str(i) for i in range(20)]
