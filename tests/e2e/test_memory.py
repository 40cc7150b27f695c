"""Endless inputs into a slow Executor: no process grows, however long it goes on."""

import json
from pathlib import Path

import pytest

from tests.e2e.programs import program

MAX_GROWTH_MB = 15

# In a process of its own, since that of the tests holds whatever other tests have left in it.
STREAMING = """
import json, sys, time
import psutil
from dure import Client, Document, Executor, Flow, requests

class Slow(Executor):
    '''Slower than what is sent, so that something has to wait, and has to wait outside.'''

    @requests
    def work(self, docs, **kwargs):
        time.sleep(0.005)

def generate():
    for i in range(count):
        yield Document(text=f'document {i} of a job that does not fit into memory', tags={'number': i})

def sizes_mb():
    pids = {'client': psutil.Process().pid, **flow.pids()}
    return {name: round(psutil.Process(pid).memory_info().rss / 1e6, 1) for name, pid in pids.items()}

protocol, count = sys.argv[1], int(sys.argv[2])
marks = {count * percent // 100: percent for percent in (10, 50, 100)}
done = 0
with Flow().add(uses=Slow, name='worker') as flow, Client(port=flow.port, protocol=protocol) as client:
    for results in client.stream('/', generate, request_size=500):
        done += len(results)
        if done in marks:
            print('SIZES', json.dumps([marks[done], sizes_mb()]), flush=True)
assert done == count, done
"""


def measure(folder: Path, protocol: str, count: int, timeout_s: float) -> dict[int, dict[str, float]]:
    """Stream `count` documents; return the sizes of all processes in MB at 10 %, 50 % and 100 %."""
    with program(folder, STREAMING, protocol, str(count)) as running:
        assert running.wait(timeout_s) == 0, running.said()
        lines = [line.partition("SIZES ")[2] for line in running.said().splitlines() if line.startswith("SIZES ")]
    return dict(json.loads(line) for line in lines)


def assert_flat(found: dict[int, dict[str, float]]) -> None:
    assert list(found) == [10, 50, 100]
    growth = {name: size - found[10][name] for name, size in found[100].items()}
    assert max(growth.values()) < MAX_GROWTH_MB, found


@pytest.mark.parametrize("protocol", ["native", "grpc"])
def test_memory_is_flat(tmp_path: Path, protocol: str) -> None:
    assert_flat(measure(tmp_path, protocol, 300_000, 50))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("protocol", ["native", "grpc"])
def test_memory_is_flat_for_five_million_documents(
    tmp_path: Path, protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measure(tmp_path, protocol, 5_000_000, 1100)
    with capsys.disabled():
        for percent, sizes in found.items():
            told = ", ".join(f"{name} {size} MB" for name, size in sizes.items())
            print(f"\n{protocol}, {percent} % of 5,000,000 documents: {told}", end="")  # noqa: T201 - what was asked for
    assert_flat(found)
