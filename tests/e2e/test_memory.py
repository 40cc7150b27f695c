"""Endless inputs into a slow Executor: no process grows, however long it goes on."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from dure import Client, Document, DocumentArray, Executor, Flow, requests

MAX_GROWTH_MB = 15
REQUEST_SIZE = 500


class Slow(Executor):
    """Slower than what is sent, so that something has to wait, and has to wait outside."""

    @requests
    def work(self, docs: DocumentArray, **kwargs: Any) -> None:
        time.sleep(0.005)


def generate(count: int) -> Iterator[Document]:
    for i in range(count):
        yield Document(text=f"document {i} of a job that does not fit into memory", tags={"number": i})


def sizes_mb(flow: Flow) -> dict[str, float]:
    pids = {"client": psutil.Process().pid, **flow.pids()}
    return {name: psutil.Process(pid).memory_info().rss / 1e6 for name, pid in pids.items()}


def run(count: int, protocol: Any) -> dict[int, dict[str, float]]:
    """Stream `count` documents; return the sizes of all processes at 10 %, 50 % and 100 %."""
    found: dict[int, dict[str, float]] = {}
    marks = {count * percent // 100: percent for percent in (10, 50, 100)}
    done = 0
    with (
        Flow().add(uses=Slow, name="worker", timeout_ready_s=20) as flow,
        Client(port=flow.port, protocol=protocol) as client,
    ):
        for results in client.stream("/", lambda: generate(count), request_size=REQUEST_SIZE):
            done += len(results)
            if done in marks:
                found[marks[done]] = sizes_mb(flow)
    assert done == count
    for percent, sizes in found.items():
        sys.stdout.write(f"{protocol} {percent:3} %: " + ", ".join(f"{k} {v:.1f} MB" for k, v in sizes.items()) + "\n")
    return found


def assert_flat(found: dict[int, dict[str, float]]) -> None:
    growth = {name: size - found[10][name] for name, size in found[100].items()}
    assert max(growth.values()) < MAX_GROWTH_MB, growth


@pytest.mark.parametrize("protocol", ["native", "grpc"])
def test_memory_is_flat(protocol: str) -> None:
    assert_flat(run(300_000, protocol))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("protocol", ["native", "grpc"])
def test_memory_is_flat_for_five_million_documents(protocol: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(5_000_000, protocol)
    with capsys.disabled():
        sys.stdout.write("\n" + capsys.readouterr().out)
    assert_flat(found)
