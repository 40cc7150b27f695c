"""A stream of inference requests: its order, and how much it holds."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dure.document.oip_messages import messages
from dure.gateway.assignment import Node
from dure.gateway.oip_models import Models
from dure.gateway.oip_stream import Stream
from dure.gateway.router import Router
from dure.spec import BatchSpec, GatewaySpec
from dure.transport.messages import EndpointInfo

MOST = 4


@pytest.fixture
async def router() -> Router:
    """A router whose Executor has no replica: what is valid waits."""
    node = Node(needs=["gateway"], max_queue_size=64, max_call_s=None, replicas=1, max_replicas=1)
    made = Router({"a": node}, lambda: None, lambda asked: None)
    made.dispatchers["a"].endpoints = {"/wait": EndpointInfo(BatchSpec(), concurrent=False)}
    return made


def request(model: str, number: int = 0, timeout_us: int = 0) -> Any:
    text = {"name": "text", "datatype": "BYTES", "shape": [1]}
    made = messages.ModelInferRequest(
        model_name=model, id=str(number), inputs=[text], raw_input_contents=[b"\1\0\0\0a"]
    )
    if timeout_us:
        made.parameters["timeout"].int64_param = timeout_us
    return made


async def of(*requests: Any) -> AsyncIterator[Any]:
    for one in requests:
        yield one


def stream(router: Router) -> Stream:
    return Stream(router, GatewaySpec(max_queued=MOST), Models(router))


async def replies(found: Stream) -> list[Any]:
    taken = []
    while several := await found.session.next_replies():
        taken += [message for reply in several for message in reply]
    return taken


async def test_answers_wait_for_those_before_them(router: Router) -> None:
    found = stream(router)
    await found.read(of(request("wait", 1, timeout_us=30_000), request("wrong", 2), request("wrong", 3)))
    messages_ = await replies(found)
    assert [one.infer_response.id for one in messages_] == ["1", "2", "3"]
    assert "0.03 s" in messages_[0].error_message
    assert "no model" in messages_[1].error_message


async def test_no_more_is_read_while_too_much_waits_for_one(router: Router) -> None:
    read = 0

    async def counted() -> AsyncIterator[Any]:
        nonlocal read
        async for one in of(request("wait", timeout_us=200_000), *[request("wrong")] * 20):
            read += 1
            yield one

    found = stream(router)
    task = asyncio.create_task(found.read(counted()))
    await asyncio.sleep(0.05)
    assert read == MOST + 1
    assert len(await replies(found)) == read == 21
    await task


async def test_a_stream_ends_when_all_is_answered(router: Router) -> None:
    found = stream(router)
    await found.read(of())
    assert await replies(found) == []
