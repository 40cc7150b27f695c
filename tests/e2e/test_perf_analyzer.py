"""Triton's load generator drives a Flow by the Open Inference Protocol, in each of its ways to send."""

import csv
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dure import Flow
from tests.e2e.installed import PERF_ANALYZER, needs_perf_analyzer
from tests.e2e.triton import open_flow, url

pytestmark = needs_perf_analyzer

WAYS = {
    "http": ["-i", "http"],
    "http, json": ["-i", "http", "--input-tensor-format=json", "--output-tensor-format=json"],
    "grpc": ["-i", "grpc"],
    "grpc, gzip": ["-i", "grpc", "--grpc-compression-algorithm", "gzip"],
    "grpc, stream": ["-i", "grpc", "--streaming", "--async"],
}


@pytest.fixture(scope="module")
def flow() -> Iterator[Flow]:
    with open_flow() as running:
        yield running


@pytest.mark.parametrize("way", WAYS)
def test_it_drives_a_flow(flow: Flow, tmp_path: Path, way: str) -> None:
    data, report = tmp_path / "data.json", tmp_path / "report.csv"
    data.write_text(json.dumps({"data": [{"text": ["many hands"]}, {"text": ["여럿이 함께"]}]}))
    protocol = WAYS[way][1]
    command = [
        *(str(PERF_ANALYZER), "-m", "encode", "-u", url(flow, protocol), *WAYS[way], "-f", str(report)),
        *("-b", "4", "--input-data", str(data), "--concurrency-range", "2", "--request-count", "100"),
    ]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(PERF_ANALYZER.parents[1] / "lib")}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (row,) = csv.DictReader(report.read_text().splitlines())
    assert float(row["Inferences/Second"]) > 0
    documents, requests = map(int, re.findall(r"(?:Inference count|Successful request count): (\d+)", ran.stdout))
    # What the Flow says of itself; the last requests of the two clients may be counted just after that was looked at.
    assert abs(documents - 400) <= 2 * 4
    assert abs(requests - 100) <= 2
