"""What is told of models to real clients of the Open Inference Protocol, and what they may not change."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dure import Flow
from tests.e2e.triton import ask, connect, open_flow, status_of, texts, told


@pytest.fixture(scope="module")
def flow() -> Iterator[Flow]:
    with open_flow() as running:
        yield running


@pytest.fixture(params=["http", "grpc"])
def client(request: pytest.FixtureRequest, flow: Flow) -> Iterator[Any]:
    with connect(flow, request.param) as found:
        yield found


def test_health(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("encode")
    assert client.is_model_ready("encode", "1")


def test_metadata_and_configuration_agree(client: Any) -> None:
    assert told(client, "get_server_metadata")["name"] == "dure"
    metadata = told(client, "get_model_metadata", "encode")
    config = told(client, "get_model_config", "encode")
    config = config.get("config", config)
    for kind in ("input", "output"):
        dims = {one["name"]: [int(n) for n in one.get("dims", [])] for one in config[kind]}
        shapes = {one["name"]: [int(n) for n in one["shape"]] for one in metadata[f"{kind}s"]}
        assert shapes == {name: [-1, *rest] for name, rest in dims.items()}
        assert {"text", "embedding", "tensor"} <= shapes.keys()
    assert int(config["max_batch_size"]) == 64
    words = told(client, "get_model_config", "words")
    assert words.get("config", words)["model_transaction_policy"] == {"decoupled": True}


def test_repository(client: Any) -> None:
    index = told(client, "get_model_repository_index")
    index = index if isinstance(index, list) else index["models"]
    states = {one["name"]: (one["version"], one["state"]) for one in index}
    assert states["same/as/before"] == ("1", "READY")
    client.load_model("encode")
    for call, words in (
        (lambda: client.unload_model("encode"), "not taken away from outside"),
        (lambda: client.load_model("encode", config="{}"), "not loaded from outside"),
    ):
        status, message = status_of(call)
        assert status in ("403", "PERMISSION_DENIED")
        assert words in message
    assert status_of(lambda: client.load_model("nothing"))[0] in ("404", "NOT_FOUND")


def test_index_of_what_is_ready(flow: Flow) -> None:
    every, ready = (json.loads(ask(flow, "POST", "/v2/repository/index", b)[2]) for b in (b"", b'{"ready": true}'))
    assert every == ready
    assert {one["state"] for one in every} == {"READY"}
    assert ask(flow, "POST", "/v2/repository/index", b"[1]")[0] == 400


def counts(client: Any, model: str) -> dict[str, Any]:
    [found] = told(client, "get_inference_statistics", model)["model_stats"]
    stats = {name: int(value.get("count", 0)) for name, value in found["inference_stats"].items()}
    return {**stats, "inferences": int(found.get("inference_count", 0)), "executions": int(found["execution_count"])}


def test_statistics_count_what_was_asked(client: Any) -> None:
    before = counts(client, "encode")
    started = time.time_ns() // 10**6
    for _ in range(3):
        client.infer("encode", [texts(client, "a", "b")])
    after = counts(client, "encode")
    grown = {name: after[name] - before[name] for name in after}
    stages = ("success", "queue", "compute_input", "compute_infer", "compute_output", "executions")
    assert grown == {**dict.fromkeys(stages, 3), "inferences": 6, "fail": 0, "cache_hit": 0, "cache_miss": 0}
    [found] = told(client, "get_inference_statistics", "encode")["model_stats"]
    assert started - 1000 <= int(found["last_inference"]) <= time.time_ns() // 10**6 + 1000
    assert int(found["inference_stats"]["success"]["ns"]) > int(found["inference_stats"]["compute_infer"]["ns"]) > 0
    assert {int(one["batch_size"]) for one in found["batch_stats"]} >= {2}
    names = [one["name"] for one in told(client, "get_inference_statistics")["model_stats"]]
    assert {"encode", "words"} <= set(names)


def test_statistics_count_failures(client: Any) -> None:
    before = counts(client, "fail")
    status_of(lambda: client.infer("fail", [texts(client, "a")]))
    after = counts(client, "fail")
    assert (after["fail"] - before["fail"], after["success"]) == (1, 0)
