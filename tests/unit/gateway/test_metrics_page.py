"""The page: what stands there, read as Prometheus reads it."""

import socket
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from dure.errors import DeadlineExceeded, QueueFull, StartFailed
from dure.gateway.assignment import Node
from dure.gateway.guard import Guard
from dure.gateway.job import Job
from dure.gateway.metrics_page import MetricsPage
from dure.gateway.router import Router
from dure.spec import GatewaySpec
from dure.transport.messages import Spent

NODE = Node(needs=["gateway"], max_queue_size=9, max_call_s=None, replicas=1, max_replicas=1)

SPEC = GatewaySpec(metrics_port=0)

SPENT = Spent(decode_s=0.01, compute_s=0.5, encode_s=0.03, num_calls=1, num_cached=1, stages={"tokenize": 0.1})


def nobody(*_: Any) -> None:
    """Is not asked anything here."""


@pytest.fixture
def router() -> Router:
    return Router({"one": NODE, "two": NODE}, nobody, nobody)


@pytest.fixture
def page(router: Router) -> Iterator[MetricsPage]:
    page = MetricsPage(router, Guard(SPEC), SPEC)
    yield page
    page.close()


def job() -> Job:
    made = Job("/a", b"", "columns", 2, [b""], False, nobody, nobody)
    made.cost, made.longest, made.arrived_at, made.sent_at = 30.0, 20.0, 1.0, 1.25
    return made


def read(page: MetricsPage) -> dict[str, dict[tuple[str, ...], float]]:
    """Return name -> labels' values in the order of their names -> value."""
    with urllib.request.urlopen(f"http://127.0.0.1:{page.port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, f"{family.name} says what it is"
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_before_the_first_request(page: MetricsPage) -> None:
    found = read(page)
    assert found["dure_queue_requests"] == {("one",): 0, ("two",): 0}
    assert found["dure_replicas"] == {("one",): 0, ("two",): 0}
    assert found["dure_request_seconds_count"] == {(): 0}
    assert found["dure_stage_seconds_count"][("one", "queue")] == 0
    assert "dure_requests_total" not in found


def test_figures_are_those_of_now(page: MetricsPage, router: Router) -> None:
    figures = router.dispatchers["one"].figures
    for i in (1, 2):
        router.figures.finished(None, 0.02)
        figures.served(0, [job()], SPENT, 0.125)
        found = read(page)
        assert found["dure_requests_total"] == {("answered",): i}
        assert found["dure_calls_total"][("one",)] == i
        assert found["dure_cached_documents_total"][("one",)] == i
        assert found["dure_busy_seconds_total"] == {("one", "0"): 0.5 * i}
        assert found["dure_stage_seconds_sum"][("one", "queue")] == 0.25 * i
        assert found["dure_stage_seconds_sum"][("one", "wait")] == 0.125 * i
        assert found["dure_method_stage_seconds_sum"] == pytest.approx({("one", "tokenize"): 0.1 * i})
        assert found["dure_batch_rows_sum"] == {("one",): 2 * i, ("two",): 0}
        assert found["dure_batch_cost_sum"][("one",)] == 30 * i
        assert found["dure_batch_padding_ratio_sum"][("one",)] == pytest.approx(0.25 * i)


def test_buckets_add_up(page: MetricsPage, router: Router) -> None:
    for seconds in (0.0001, 0.004, 0.004, 1000.0):
        router.figures.finished(None, seconds)
    buckets = read(page)["dure_request_seconds_bucket"]
    assert buckets["0.0005",] == 1
    assert buckets["0.0025",] == 1
    assert buckets["0.005",] == buckets["60.0",] == 3
    assert buckets["+Inf",] == 4


def test_causes_and_outcomes_are_told_apart(page: MetricsPage, router: Router) -> None:
    figures = router.dispatchers["two"].figures
    for error in (QueueFull("full"), QueueFull("full"), DeadlineExceeded("late")):
        figures.refuse(error)
        router.figures.finished(error, 0.0)
    router.figures.cancelled()
    found = read(page)
    assert found["dure_refused_total"] == {("queue_full", "two"): 2, ("deadline_exceeded", "two"): 1}
    assert found["dure_requests_total"] == {("refused",): 2, ("expired",): 1, ("cancelled",): 1}


def test_it_is_read_while_it_is_written(page: MetricsPage, router: Router) -> None:
    figures, over = router.dispatchers["one"].figures, threading.Event()

    def write() -> None:
        i = 0
        while not over.is_set():
            i += 1
            figures.served(i % 20, [job()], Spent(stages={f"stage {i % 40}": 0.1}), 0.0)
            figures.refused[f"cause {i % 40}"] += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            assert read(page)["dure_calls_total"]
    finally:
        over.set()
        writer.join()


def test_a_port_that_is_taken_is_named(router: Router) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartFailed, match=rf"metrics_port: 127\.0\.0\.1:{port} cannot be listened on: .*in use"):
            MetricsPage(router, Guard(SPEC), replace(SPEC, metrics_port=port))


def test_after_the_end_nobody_listens(router: Router) -> None:
    page = MetricsPage(router, Guard(SPEC), SPEC)
    page.close()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", page.port)):
        pass
    MetricsPage(router, Guard(SPEC), replace(SPEC, metrics_port=page.port)).close()
