"""Routes below `/v2`: what they are taken for, and what they answer, without a socket."""

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from dure.gateway.assignment import Node
from dure.gateway.http_connection import Corked
from dure.gateway.http_exchange import Exchange
from dure.gateway.open_inference import OpenInference
from dure.gateway.router import Router
from dure.spec import BatchSpec, GatewaySpec
from dure.transport.messages import EndpointInfo

NODE = Node(needs=["gateway"], max_queue_size=64, max_call_s=None, replicas=1, max_replicas=1)
MODELS = ("/encode", "/a/b", "/infer", "/versions/1")


async def ask(method: str, path: str, body: bytes = b"", protocol: str = "http") -> tuple[int, Any]:
    """Return status and body of the answer of a Flow whose Executor has no replica."""
    router = Router({"a": NODE}, lambda: None, lambda asked: None)
    router.dispatchers["a"].endpoints = dict.fromkeys(MODELS, EndpointInfo(BatchSpec(), concurrent=False))
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    spec = msgspec.convert({"protocol": [protocol]}, GatewaySpec)
    connection = SimpleNamespace(loop=asyncio.get_running_loop(), corked=Corked(None))
    scope = {"type": "http", "method": method, "path": path, "headers": [], "dure.connection": connection}
    await OpenInference(router, spec).serve(Exchange(scope, receive, send))
    answer = sent[1]["body"]
    return sent[0]["status"], msgspec.json.decode(answer) if answer else None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v2/models/encode", "encode"),
        ("/v2/models/encode/versions/1", "encode"),
        ("/v2/models/a/b/versions/1", "a/b"),
        ("/v2/models/a/b/config", "a/b"),
        ("/v2/models/infer/versions/1/config", "infer"),
        ("/v2/models/versions/1/config", "versions/1"),
    ],
)
async def test_which_model_a_path_means(path: str, name: str) -> None:
    status, told = await ask("GET", path)
    assert (status, told["name"]) == (200, name)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2", 200),
        ("GET", "/v2/health/live", 200),
        ("GET", "/v2/health/ready", 503),
        ("GET", "/v2/models/encode/ready", 503),
        ("GET", "/v2/models/nothing/ready", 404),
        ("GET", "/v2/models/encode/versions/2/ready", 404),
        ("GET", "/v2/models", 404),
        ("GET", "/v2/modelsencode", 404),
        ("DELETE", "/v2/models/encode", 405),
        ("GET", "/v2/models/encode/infer", 405),
        ("POST", "/v2/models/encode/infer", 400),
        ("GET", "/v2/repository/models/a/b/load", 405),
        ("POST", "/v2/repository/models/a/b/load", 200),
        ("POST", "/v2/repository/models/a/b/unload", 403),
        ("GET", "/v2/trace/setting", 501),
        ("GET", "/v2/models/a/b/trace/setting", 501),
        ("POST", "/v2/logging", 501),
        ("POST", "/v2/cudasharedmemory/region/x/register", 501),
    ],
)
async def test_what_is_answered(method: str, path: str, status: int) -> None:
    found, told = await ask(method, path)
    assert found == status
    if status >= 400 and status != 503:
        assert isinstance(told["error"], str)


async def test_no_model_is_ready_without_a_replica() -> None:
    every, ready = [await ask("POST", "/v2/repository/index", body) for body in (b"", b'{"ready":true}')]
    assert {one["state"] for one in every[1]} == {"UNAVAILABLE"}
    assert len(every[1]) == len(MODELS)
    assert ready == (200, [])


async def test_who_asked_for_websocket_alone_gets_nothing_else() -> None:
    status, told = await ask("GET", "/v2/models/encode", protocol="websocket")
    assert status == 404
    assert "WebSocket" in told["error"]
