"""The page of figures of a running Flow: exact counts, stages that add up, and what it costs to be idle."""

import socket
import time
import urllib.request
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dure import Client, Document, Flow
from dure.errors import DeadlineExceeded, ExecutorError, QueueFull, StartFailed
from tests.e2e.steps import Slow

READY_S = 40
PROTOCOLS = ("native", "grpc")
NUM_CLIENTS = 8

Figures = dict[str, dict[tuple[str, ...], float]]


def slow(**settings: Any) -> Flow:
    return Flow(metrics_port=0).add(uses=Slow, name="slow", timeout_ready_s=READY_S, **settings)


@pytest.fixture
def flow() -> Iterator[Flow]:
    with slow() as running:
        yield running


def read(flow: Flow) -> Figures:
    """Return name -> labels' values in the order of their names -> value."""
    with urllib.request.urlopen(f"http://{flow.host}:{flow.metrics_port}/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text = answer.read().decode()
    found: Figures = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def outcomes(flow: Flow) -> dict[str, float]:
    return {word: count for (word,), count in read(flow).get("dure_requests_total", {}).items()}


def load(flow: Flow, requests: int, rows: int = 1) -> None:
    """Send some requests from each of some clients, one after the other."""

    def ask(_: int) -> None:
        with Client(port=flow.port) as client:
            for _ in range(requests):
                client.post("/work", [Document("x") for _ in range(rows)])

    with ThreadPoolExecutor(NUM_CLIENTS) as pool:
        list(pool.map(ask, range(NUM_CLIENTS)))


def test_stages_add_up_to_the_whole(flow: Flow) -> None:
    load(flow, 12)
    found = read(flow)
    stages = {labels[1]: value for labels, value in found["dure_stage_seconds_sum"].items()}
    whole = found["dure_request_seconds_sum"][()]
    assert sum(stages.values()) == pytest.approx(whole, rel=0.05)
    assert stages["compute"] >= 0.02 * NUM_CLIENTS * 12
    assert found["dure_request_seconds_count"][()] == found["dure_stage_seconds_count"][("slow", "queue")] == 96


def test_batches_and_calls_are_counted(flow: Flow) -> None:
    load(flow, 6, rows=2)
    found = read(flow)
    batches = found["dure_batch_rows_count"][("slow",)]
    assert found["dure_batch_rows_sum"][("slow",)] == 2 * 6 * NUM_CLIENTS
    assert found["dure_batch_requests_sum"][("slow",)] == 6 * NUM_CLIENTS
    assert found["dure_calls_total"][("slow",)] == batches == found["dure_batch_requests_count"][("slow",)]
    assert batches < 6 * NUM_CLIENTS, "some were merged"
    assert found["dure_batch_rows_bucket"][("slow", "4.0")] == batches, "none is larger than max_batch_size"
    assert found["dure_busy_seconds_total"][("slow", "0")] >= 0.02 * batches
    assert found["dure_replicas"][("slow",)] == 1
    assert found["dure_queue_requests"][("slow",)] == found["dure_in_flight_rows"][("slow",)] == 0


def test_a_method_says_how_long_its_stages_take(flow: Flow) -> None:
    load(flow, 3)
    found = read(flow)
    seconds = found["dure_method_stage_seconds_sum"]
    assert set(seconds) == {("slow", "tokenize"), ("slow", "forward")}
    assert seconds["slow", "tokenize"] >= 0.005 * 3 * NUM_CLIENTS
    assert sum(seconds.values()) <= found["dure_stage_seconds_sum"]["slow", "compute"]
    assert found["dure_method_stage_seconds_count"]["slow", "tokenize"] == 3 * NUM_CLIENTS


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_answered_failed_and_expired_are_counted_exactly(flow: Flow, protocol: Any) -> None:
    with Client(port=flow.port, protocol=protocol) as client:
        docs = [Document("bad" if i % 4 == 1 else "good") for i in range(20)]
        back = client.post("/work", docs, request_size=1, continue_on_error=True)
        assert {type(failure.error) for failure in back.failures} == {ExecutorError}
        assert outcomes(flow) == {"answered": 15, "failed": 5}
        late = client.post("/alone", ["1.0"], timeout_s=0.3, continue_on_error=True)
        assert [type(failure.error) for failure in late.failures] == [DeadlineExceeded]
    assert outcomes(flow) == {"answered": 15, "failed": 5, "expired": 1}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_who_goes_away_is_counted_exactly(flow: Flow, protocol: Any) -> None:
    with Client(port=flow.port, protocol=protocol) as client:
        docs = [Document("0.001"), *(Document("2.0") for _ in range(4))]
        answers = client.stream("/alone", docs, request_size=1)
        assert isinstance(answers, Generator)
        assert next(answers).texts == ["0.001"]
        answers.close()
    deadline = time.monotonic() + READY_S
    while (found := outcomes(flow)) != {"answered": 1, "cancelled": 4}:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_refused_requests_are_counted_exactly(protocol: Any) -> None:
    with slow(max_queue_size=2) as flow, Client(port=flow.port, protocol=protocol) as client:
        docs = [Document("0.2") for _ in range(12)]
        back = client.post("/alone", docs, request_size=1, continue_on_error=True)
        assert {type(failure.error) for failure in back.failures} == {QueueFull}
        refused = len(back.failures)
        assert 0 < refused < 12
        assert outcomes(flow) == {"answered": 12 - refused, "refused": refused}
        assert read(flow)["dure_refused_total"] == {("queue_full", "slow"): refused}


def test_padding_is_the_share_of_a_batch_that_the_longest_adds(flow: Flow) -> None:
    short, long = "x" * 8, "x" * 72  # 4 and 20 tokens, as they are estimated
    back = flow.post("/tokens", [short, long], request_size=1, explain=True)
    assert [served["slow"].batch_requests for served in back.served] == [2, 2], "they waited for each other"
    found = read(flow)
    assert found["dure_batch_cost_sum"][("slow",)] == 24
    assert found["dure_batch_padding_ratio_sum"][("slow",)] == pytest.approx(1 - 24 / 40)
    assert found["dure_batch_padding_ratio_count"][("slow",)] == 1


def test_every_executor_has_its_own_figures() -> None:
    flow = slow().add(uses=Slow, name="second", replicas=2, timeout_ready_s=READY_S)
    with flow as running:
        running.post("/work", ["x"] * 4, request_size=1)
        found = read(running)
    assert found["dure_replicas"] == {("slow",): 1, ("second",): 2}
    assert found["dure_stage_seconds_count"]["slow", "compute"] == 4
    assert found["dure_stage_seconds_count"]["second", "compute"] == 4
    assert found["dure_request_seconds_count"][()] == 4


def test_kept_answers_are_counted() -> None:
    with slow(cache_size=10) as flow:
        flow.post("/work", ["x", "y", "x"], request_size=3)
        flow.post("/work", ["y", "z"], request_size=2)
        assert read(flow)["dure_cached_documents_total"] == {("slow",): 2}


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        flow = Flow(metrics_port=port).add(uses=Slow)
        with pytest.raises(StartFailed, match=rf"metrics_port: 127\.0\.0\.1:{port} cannot be listened on"):
            flow.start()


def test_without_a_port_there_is_no_page() -> None:
    with Flow() as flow:
        assert flow.metrics_port is None


@pytest.mark.slow
@pytest.mark.parametrize("asked_before", [False, True])
def test_who_is_idle_needs_no_processor(*, asked_before: bool) -> None:
    with slow(replicas=2, max_replicas=3, max_call_s=1.0) as flow:
        if asked_before:
            load(flow, 5)
            read(flow)
        time.sleep(3)  # the first seconds of a process are not idle
        processes = [psutil.Process(pid) for pid in (*flow.pids().values(), psutil.Process().pid)]

        def used_s() -> float:
            times = [process.cpu_times() for process in processes]
            return float(sum(one.user + one.system for one in times))

        before, begin = used_s(), time.monotonic()
        time.sleep(20)  # time is counted in hundredths of a second, and a sign of life is asked for every now and then
        share = (used_s() - before) / (time.monotonic() - begin)
    assert share < 0.005, f"{share:.2%} of a core"
