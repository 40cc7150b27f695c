"""Endpoints as models: who is there, how they are described, and what is counted."""

from typing import Any

import pytest

from dure.errors import EndpointNotFound, ExecutorError
from dure.executor.endpoints import DEFAULT
from dure.gateway.assignment import Node
from dure.gateway.job import Job
from dure.gateway.oip_models import Models, Refused
from dure.gateway.router import Router
from dure.spec import BatchSpec
from dure.transport.messages import EndpointInfo, Spent

NODE = Node(needs=["gateway"], max_queue_size=64, max_call_s=None, replicas=1, max_replicas=1)


def info(size: int = 8, *, streaming: bool = False, delay_s: float = 0.0) -> EndpointInfo:
    return EndpointInfo(BatchSpec(max_batch_size=size, max_queue_delay_s=delay_s), streaming, streaming)


def router(**executors: dict[str, EndpointInfo]) -> Router:
    """Return a router whose Executors answer these endpoints, and have no replica."""
    made = Router(dict.fromkeys(executors, NODE), lambda: None, lambda asked: None)
    for name, endpoints in executors.items():
        made.dispatchers[name].endpoints = endpoints
    return made


def job(endpoint: str, rows: int, queue_s: float) -> Job:
    def never(*_: Any) -> None:
        raise AssertionError("counting calls nobody")

    made = Job(endpoint, b"", "columns", rows, [b""], False, never, never)
    made.arrived_at, made.sent_at = 1.0, 1.0 + queue_s
    return made


def test_endpoints_are_models() -> None:
    models = Models(router(a={"/encode": info(), "/a/b": info()}, b={"/encode": info()}))
    assert models.names() == ["a/b", "encode"]
    assert models.endpoint("a/b") == models.endpoint("a/b", "1") == "/a/b"


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("encod", "", "Did you mean 'encode'.*There are: encode"),
        ("", "", "no model"),
        ("/encode", "", "no model"),
        ("encode", "2", "version 1 only"),
        ("encode", "1.0", "version 1 only"),
    ],
)
def test_what_is_no_model(name: str, version: str, words: str) -> None:
    models = Models(router(a={"/encode": info()}))
    with pytest.raises(EndpointNotFound, match=words):
        models.endpoint(name, version)
    for look in (models.metadata, models.config, models.is_model_ready):
        with pytest.raises(EndpointNotFound):
            look(name, version)


def test_a_default_method_answers_any_name() -> None:
    models = Models(router(a={DEFAULT: info(3)}))
    assert models.names() == ["default"]
    assert models.endpoint("whatever") == "/whatever"
    assert models.config("whatever")["max_batch_size"] == 3


def test_a_flow_without_executors_has_no_models() -> None:
    models = Models(router())
    assert (models.names(), models.index(ready_only=False), models.statistics()) == ([], [], [])
    with pytest.raises(EndpointNotFound, match="There are: none"):
        models.endpoint("encode")


def test_without_replicas_nothing_is_ready() -> None:
    models = Models(router(a={"/encode": info()}))
    assert not models.is_ready
    assert not models.is_model_ready("encode")
    assert models.index(ready_only=True) == []
    [found] = models.index(ready_only=False)
    assert (found["name"], found["state"]) == ("encode", "UNAVAILABLE")
    assert found["reason"]


def test_the_configuration_is_that_of_all_executors_on_the_way() -> None:
    executors = {"a": {"/x": info(64, delay_s=0.002)}, "b": {"/x": info(4, streaming=True)}, "c": {"/y": info(1)}}
    models = Models(router(**executors))
    config = models.config("x")
    assert config["max_batch_size"] == 4
    assert config["model_transaction_policy"] == {"decoupled": True}
    assert config["dynamic_batching"]["max_queue_delay_microseconds"] == 2000
    assert (models.streams("/x"), models.streams("/y")) == (True, False)


def test_models_are_not_changed_from_outside() -> None:
    models = Models(router(a={"/encode": info()}))
    assert models.load("encode", changed=False) == {}
    with pytest.raises(Refused):
        models.load("encode", changed=True)
    with pytest.raises(Refused):
        models.unload("encode")
    with pytest.raises(EndpointNotFound):
        models.load("x", changed=True)
    with pytest.raises(EndpointNotFound):
        models.unload("x")


def test_what_is_counted() -> None:
    made = router(a={"/x": info(), "/y": info()})
    models = Models(made)
    figures = made.dispatchers["a"].figures
    spent = Spent(decode_s=0.25, compute_s=0.5, encode_s=1, num_calls=1)
    figures.served(0, [job("/x", 2, 0.125), job("/x", 3, 0.25)], spent, 0.5)
    figures.served(0, [job("/x", 5, 0.0)], spent, 0.0)
    figures.served(0, [job("/y", 300, 0.0)], spent, 0.0)
    for rows in (2, 3, 5):
        made.figures.finished(None, 0.5, "/x", rows)
    made.figures.finished(ExecutorError("x"), 2, "/x", 1)
    [found] = models.statistics("x")
    assert (found["inference_count"], found["execution_count"]) == (10, 2)
    stats = {name: (value["count"], value["ns"] / 1e9) for name, value in found["inference_stats"].items()}
    assert stats == {
        "success": (3, 1.5),
        "fail": (1, 2.0),
        "queue": (3, 0.125 + 0.25 + 2 * 0.5),
        "compute_input": (3, 0.75),
        "compute_infer": (3, 1.5),
        "compute_output": (3, 3.0),
        "cache_hit": (0, 0),
        "cache_miss": (0, 0),
    }
    [batches] = found["batch_stats"]
    assert batches["batch_size"] == 5
    assert batches["compute_infer"] == {"count": 2, "ns": 10**9}
    x, y = models.statistics()
    assert x == found
    assert y["last_inference"] == 0, "batches are counted, and no request of it has been answered"
    assert [one["batch_size"] for one in y["batch_stats"]] == [512]


def test_names_that_clients_think_of_do_not_fill_the_memory() -> None:
    made = router(a={DEFAULT: info()})
    for i in range(3000):
        made.figures.finished(None, 0.1, f"/{i}", 1)
        made.dispatchers["a"].figures.served(0, [job(f"/{i}", 1, 0.0)], Spent(), 0.0)
    assert len(made.figures.endpoints) <= 1025
    assert len(made.dispatchers["a"].figures.endpoints) <= 1025
    assert sum(one.num_answered for one in made.figures.endpoints.values()) == 3000
    made.figures.finished(EndpointNotFound("x"), 0.1, "/x", 1)
    assert "/x" not in made.figures.endpoints
