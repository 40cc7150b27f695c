"""`dure map` as a person runs it: killed and gone on with, stopped, refused; on this machine and on Ray."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

DURE = str(Path(sys.executable).with_name("dure"))
EXECUTOR = """
import hashlib, os, time
import numpy as np
from dure import DocumentArray, Executor, requests


class Digest(Executor):
    def __init__(self, pause_s: float = 0.0, bad: str = '', **kwargs):
        super().__init__(**kwargs)
        self.pause_s, self.bad = pause_s, bad

    @requests(on='/digest')
    def digest(self, docs, **kwargs):
        time.sleep(self.pause_s)
        if self.bad and self.bad in docs.texts:
            raise LookupError('never heard of it')
        digests = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in docs.texts]
        docs.set_column('tags', [{'digest': digest.hex()} for digest in digests])
        docs.embeddings = np.frombuffer(b''.join(digests), np.uint8).reshape(-1, 8).astype('f4')

    @requests(on='/less')
    def less(self, docs, **kwargs):
        return docs[1:]

    @requests(on='/die')
    def die(self, docs, **kwargs):
        if self.bad in docs.texts:
            os._exit(3)
"""
NUM_ROWS, PART_ROWS = 2050, 100
NUM_PARTS = 21
SLOW = ("--uses-with", "pause_s=0.02")
ENV = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepared(tmp_path)


def prepared(tmp_path: Path) -> Path:
    """Write the Executor, and rows for it in both formats."""
    (tmp_path / "digest.py").write_text(EXECUTOR, encoding="utf-8")
    rows = [f"text {i}" for i in range(NUM_ROWS)]
    pq.write_table(pa.table({"text": rows}), tmp_path / "in.parquet", row_group_size=330)
    (tmp_path / "in.jsonl").write_text("".join(f'{{"text": "{row}"}}\n' for row in rows), encoding="utf-8")
    return tmp_path


def words(source: str, target: str, *more: str, on: str = "/digest") -> list[str]:
    fixed = ["--executor", "digest.py", "--on", on, "--part-rows", str(PART_ROWS), "--request-size", "50"]
    return [DURE, "map", source, target, *fixed, *more]


def run(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, env=ENV)


def done(folder: Path, command: list[str]) -> str:
    result = run(folder, command)
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(folder: Path, command: list[str]) -> str:
    result = run(folder, command)
    assert result.returncode == 1, result.stderr
    return result.stderr.partition("\nError: ")[2] or result.stderr.removeprefix("Error: ")


def parts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*"))}


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".") and path.name != ".map.lock"]


def until(folder: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while len(list(folder.glob("part-*"))) < count:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def begun(folder: Path, command: list[str], num_parts: int) -> subprocess.Popen[bytes]:
    """Start a map in a process group of its own, and return when some of its parts are there."""
    process = subprocess.Popen(
        command, cwd=folder, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    until(folder / command[3], num_parts, process)
    return process


def killed(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Kill a map; return the processes of it that do not end with it."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait(10)
    left: list[psutil.Process] = psutil.wait_procs(children, timeout=5)[1]
    return left


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an unbroken run writes."""
    folder = prepared(tmp_path_factory.mktemp("whole"))
    done(folder, words("in.parquet", "whole"))
    return parts(folder / "whole")


def test_every_row_comes_back_once_and_in_order(folder: Path, whole: dict[str, bytes]) -> None:
    done(folder, words("in.jsonl", "out"))
    table = pq.read_table(folder / "out")

    assert len(whole) == NUM_PARTS
    assert parts(folder / "out") == whole
    assert table["text"].to_pylist() == [f"text {i}" for i in range(NUM_ROWS)]
    assert table["id"].to_pylist() == [str(i) for i in range(NUM_ROWS)]


@pytest.mark.slow
def test_killed_at_any_moment_and_gone_on_with_it_is_what_an_unbroken_run_writes(
    folder: Path, whole: dict[str, bytes]
) -> None:
    for count in (1, 9):
        assert not killed(begun(folder, words("in.parquet", "out", *SLOW), count))
    before = parts(folder / "out")
    assert 9 <= len(before) < NUM_PARTS
    assert before.items() <= whole.items()

    told = done(folder, words("in.parquet", "out", *SLOW, "--replicas", "2"))

    assert f"{len(before)} of them before" in told
    assert parts(folder / "out") == whole
    assert not left_over(folder / "out")


@pytest.mark.slow
def test_an_interrupt_stops_it_and_says_how_to_go_on(folder: Path, whole: dict[str, bytes]) -> None:
    command = words("in.parquet", "out", *SLOW)
    log = folder / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=folder, stderr=sink, start_new_session=True)
    until(folder / "out", 2, process)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)

    assert process.wait(15) == 130
    assert not psutil.wait_procs(children, timeout=5)[1]
    text = log.read_text(encoding="utf-8")
    assert "the same command goes on" in text
    assert "Traceback" not in text
    assert not left_over(folder / "out")
    done(folder, command)
    assert parts(folder / "out") == whole


@pytest.mark.parametrize(
    ("on", "more", "told"),
    [
        ("/less", (), r"part \d, rows \d+ to \d+: the Executor returned 49 rows for 50"),
        (
            "/digest",
            ("--uses-with", "bad=text 1234"),
            "part 12, rows 1,200 to 1,249: executor0 failed at /digest: LookupError: never heard of it",
        ),
        ("/die", ("--uses-with", "bad=text 0"), "part 0, rows 0 to 49: "),
    ],
)
def test_what_goes_wrong_names_part_and_rows(on: str, more: tuple[str, ...], told: str, folder: Path) -> None:
    assert re.match(told, refused(folder, words("in.parquet", "out", *more, on=on)))
    assert not left_over(folder / "out")


def test_an_input_that_changed_is_refused(folder: Path) -> None:
    done(folder, words("in.jsonl", "out"))
    before = parts(folder / "out")
    text = (folder / "in.jsonl").read_text(encoding="utf-8")
    (folder / "in.jsonl").write_text(text.replace("text 7", "text x", 1), encoding="utf-8")

    assert re.search(r"differs: input file in.jsonl: digest", refused(folder, words("in.jsonl", "out")))
    assert parts(folder / "out") == before


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_on_ray_kills_of_the_map_and_of_a_worker_change_nothing(folder: Path, whole: dict[str, bytes]) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    command = words("in.parquet", "out", "--uses-with", "pause_s=0.2", "--backend", "ray")
    for agent in killed(begun(folder, command, 2)):
        agent.kill()  # Ray's own, which take a minute to notice
    there = len(parts(folder / "out"))
    assert 2 <= there < NUM_PARTS - 4

    process = begun(folder, command, there + 2)
    workers = [one for one in psutil.Process(process.pid).children(recursive=True) if "MapWorker" in one.cmdline()[0]]
    assert workers
    for worker in workers:
        worker.kill()

    assert process.wait(100) == 0
    assert parts(folder / "out") == whole
    assert not left_over(folder / "out")
