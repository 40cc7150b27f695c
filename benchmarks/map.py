"""`dure map` over 1,000,000 rows: rows a second, memory over time, and what is left of it after kill -9.

    python benchmarks/map.py [--backend local] [--rows 1000000] [--request-size 1000] [--out benchmarks/results]

Runs the command twice: once to its end, with the memory of it and all its processes sampled; once killed at a random
moment and gone on with. What both write is compared with answers that are worked out here.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

import machine
from map_digest import answers

HERE = Path(__file__).parent
PART_ROWS = 10_000
SAMPLE_EVERY_S = 0.25


def text_of(row: int) -> str:
    """A short text, of 5 to 12 words, that is its row's alone."""
    return f"row {row} " + " ".join(("the", "quick", "brown", "fox")[(row * 7 + i) % 4] for i in range(3 + row % 8))


def make_input(path: Path, num_rows: int) -> None:
    with pq.ParquetWriter(path, pa.schema({"text": pa.string()})) as writer:
        for start in range(0, num_rows, 100_000):
            stop = min(start + 100_000, num_rows)
            writer.write_table(pa.table({"text": [text_of(row) for row in range(start, stop)]}))


class Memory(threading.Thread):
    """Samples what a process and all that came of it hold, until it ends.

    `samples`: seconds, rows that are done, MB of the command's own process, MB of all of them (pages that several share
    count once each).
    """

    def __init__(self, process: psutil.Process, target: Path) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._target = target
        self._began = time.perf_counter()
        self.samples: list[tuple[float, int, float, float]] = []

    def run(self) -> None:
        while self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
            try:
                own = self._process.memory_info().rss
                children = [rss(child) for child in self._process.children(recursive=True)]
            except psutil.Error:
                return
            seconds = time.perf_counter() - self._began
            self.samples.append((round(seconds, 2), num_done(self._target), own / 1e6, (own + sum(children)) / 1e6))
            time.sleep(SAMPLE_EVERY_S)

    def peaks(self, num_rows: int) -> dict[str, float]:
        """The most that was held until so many rows were done."""
        until = [sample for sample in self.samples if sample[1] <= num_rows]
        return {
            "driver_mb": round(max(own for _, _, own, _ in until), 1),
            "all_mb": round(max(whole for _, _, _, whole in until), 1),
        }


def rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def num_done(target: Path) -> int:
    return PART_ROWS * len(list(target.glob("part-*")))


def start(source: Path, target: Path, told: argparse.Namespace) -> psutil.Popen:
    words = ["--executor", str(HERE / "map_digest.py"), "--on", "/digest", "--backend", told.backend]
    words += ["--part-rows", str(PART_ROWS), "--request-size", str(told.request_size), "--no-progress"]
    command = [sys.executable, "-m", "dure.cli.main", "map", str(source), str(target), *words]
    environment = {**os.environ, "DURE_LOG_LEVEL": "warning"}
    return psutil.Popen(command, stdout=subprocess.DEVNULL, env=environment)


def unbroken(source: Path, target: Path, told: argparse.Namespace) -> dict[str, Any]:
    began = time.perf_counter()
    process = start(source, target, told)
    memory = Memory(process, target)
    memory.start()
    if process.wait():
        raise SystemExit("the map failed")
    seconds = time.perf_counter() - began
    memory.join()
    first = next(sample for sample in memory.samples if sample[1])
    steady_s = memory.samples[-1][0] - first[0]
    quarter, end = memory.peaks(told.rows // 4), memory.peaks(told.rows)
    return {
        "seconds": round(seconds, 1),
        "rows_per_s": round(told.rows / seconds),
        "rows_per_s_after_the_first_part": round((memory.samples[-1][1] - first[1]) / steady_s),
        "peak_rss_until_a_quarter": quarter,
        "peak_rss_until_the_end": end,
        "growth": {name: round(end[name] / quarter[name], 3) for name in end},
        "samples": [(s, rows, round(own, 1), round(whole, 1)) for s, rows, own, whole in memory.samples[::8]],
    }


def broken(source: Path, target: Path, told: argparse.Namespace) -> dict[str, Any]:
    """Kill a run at a random moment, go on with it, and say how much was there."""
    at = random.Random(told.seed).uniform(0.2, 0.8) * told.rows
    process = start(source, target, told)
    while num_done(target) < at:
        if process.poll() is not None:
            raise SystemExit("it ended before it could be killed")
        time.sleep(random.uniform(0.0, 0.05))
    children = process.children(recursive=True)
    process.kill()
    process.wait()
    for child in psutil.wait_procs(children, timeout=5)[1]:
        child.kill()  # Ray's agents, which take a minute to notice
    left = [path.name for path in target.iterdir() if path.name.endswith(".tmp")]
    rows_there = num_done(target)
    began = time.perf_counter()
    if start(source, target, told).wait():
        raise SystemExit("the map could not be gone on with")
    return {
        "killed_at_rows": rows_there,
        "temporary_files_left_by_the_kill": len(left),
        "seconds_to_go_on": round(time.perf_counter() - began, 1),
    }


def check(target: Path, num_rows: int) -> None:
    """Compare every row with what it is to be.

    Raises:
        SystemExit: One is not; names it.
    """
    row = 0
    for path in sorted(target.glob("part-*")):
        table = pq.read_table(path)
        texts = [text_of(i) for i in range(row, row + table.num_rows)]
        tags, embeddings = answers(texts)
        found = table["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, 8)
        equal = (
            table["id"].to_pylist() == [str(i) for i in range(row, row + table.num_rows)]
            and table["text"].to_pylist() == texts
            and [json.loads(one) for one in table["tags"].to_pylist()] == tags
            and (found == embeddings).all()
        )
        if not equal:
            raise SystemExit(f"{path}: not what it is to be")
        row += table.num_rows
    if row != num_rows or any(path.name.endswith((".tmp", ".begun")) for path in target.iterdir()):
        raise SystemExit(f"{target}: {row:,} rows of {num_rows:,}, or files that were left")


def main() -> None:
    """Measure, check, and keep what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=["local", "ray"], default="local")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--request-size", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_input(folder / "in.parquet", told.rows)
        whole = unbroken(folder / "in.parquet", folder / "whole", told)
        print(json.dumps({key: value for key, value in whole.items() if key != "samples"}), flush=True)
        check(folder / "whole", told.rows)
        killed = broken(folder / "in.parquet", folder / "killed", told)
        check(folder / "killed", told.rows)
        names = [path.name for path in (folder / "whole").glob("part-*")]
        same = all((folder / "whole" / one).read_bytes() == (folder / "killed" / one).read_bytes() for one in names)
    print(json.dumps({**killed, "same_bytes": same}))
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    result = {
        "date": date,
        **machine.describe(),
        "backend": told.backend,
        "rows": told.rows,
        "part_rows": PART_ROWS,
        "request_size": told.request_size,
        "replicas": 1,
        "unbroken": whole,
        "killed": {**killed, "outputs_exact": True, "same_bytes_as_unbroken": same},
    }
    path = told.out / f"{date}-map-{told.backend}-{machine.slug()}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
