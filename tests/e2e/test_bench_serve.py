"""`dure bench serve` and `dure bench compare` as a person runs them, against real services."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dure import DocumentArray, Executor, Flow, requests
from dure.cli.main import cli

DURE = str(Path(sys.executable).with_name("dure"))
TIMEOUT_S = 50
STALL_S = 0.3

# HTTP/1.1 in as little as there is of it: one loop, which stands still while it stalls.
SERVER = """
import asyncio, json, re, sys, time

METADATA = {"name": "m", "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}], "outputs": []}
counts = {}


def answer(method, path, body):
    count = counts[path] = counts.get(path, 0) + 1
    if path == "/stall" and count == 400:
        time.sleep(float(sys.argv[1]))
    if path == "/full" and count % 3 == 0:
        return 503, {"error": "the queue is full"}
    if path == "/v2/models/m" and method == "GET":
        return 200, METADATA
    if path == "/v2/models/m/infer":
        (tensor,) = json.loads(body)["inputs"]
        rows = len(tensor["data"]) - (count % 10 == 0)
        return 200, {"outputs": [{"name": "e", "shape": [rows, 2], "datatype": "FP32", "data": [0.5] * 2 * rows}]}
    if method == "GET":
        return 404, {"error": "unknown model"}
    return 200, [len(text) for text in json.loads(body)["texts"]]


async def serve(reader, writer):
    while True:
        try:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            return writer.close()
        found = re.search(r"content-length: *(\\d+)", head, re.I)
        body = await reader.readexactly(int(found[1])) if found else b""
        status, value = answer(*head.split(" ", 2)[:2], body)
        data = json.dumps(value).encode()
        writer.write(f"HTTP/1.1 {status} -\\r\\nContent-Length: {len(data)}\\r\\n\\r\\n".encode() + data)


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
"""


class Lengths(Executor):
    @requests(on="/lengths")
    def lengths(self, docs: DocumentArray, **kwargs: Any) -> None:
        for doc in docs:
            doc.tags["length"] = len(doc.text)

    @requests(on="/fails")
    def fails(self, docs: DocumentArray, **kwargs: Any) -> None:
        raise RuntimeError("no")


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    command = [sys.executable, "-c", SERVER, str(STALL_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.kill()


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("many hands\none job\nlight work\n", encoding="utf-8")
    return path


def bench(*arguments: str) -> Result:
    """Run the command in this process, which spares loading it each time."""
    return CliRunner().invoke(cli, ["bench", *arguments])


def serve(target: str, texts: Path, *arguments: str, name: str = "") -> tuple[dict[str, Any], str]:
    """Measure for a second; return what was kept, and what was printed."""
    folder = texts.parent / f"out{name}"
    common = ["--no-plots", "--texts", str(texts), "--warmup", "0.2", "--out", str(folder)]
    done = bench("serve", target, *common, *arguments)
    with contextlib.suppress(StopIteration):
        kept = json.loads(next(folder.glob("*.json")).read_text(encoding="utf-8"))
        # On a busy machine the load generator may be late, and says so.
        assert done.exit_code == (1 if kept["failures"] else 0), done.stderr
        assert ("INVALID" in done.stdout) == bool(kept["failures"])
        return kept, done.stdout
    pytest.fail(done.stderr)


def test_a_stall_shows_in_every_request_that_should_have_been_sent_meanwhile(port: str, texts: Path) -> None:
    folder = texts.parent / "out"
    arguments = ["--rate", "250", "--duration", "3", "--warmup", "0.2", "--texts", texts, "--no-plots", "--out", folder]
    command = [DURE, "bench", "serve", f"http://127.0.0.1:{port}/stall", *map(str, arguments)]
    text = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S).stdout
    (point,) = json.loads(next(folder.glob("*.json")).read_text(encoding="utf-8"))["points"]
    samples = point["samples"]
    intended, done = np.array(samples["intended_s"]), np.array(samples["done_s"])
    stalled = intended[np.argmax(done - intended)]
    meanwhile = (intended >= stalled) & (intended < stalled + STALL_S)
    assert meanwhile.sum() > 40
    # All of them were sent nevertheless, and none was answered before the stall was over.
    assert (done[meanwhile] >= stalled + STALL_S).mean() > 0.95
    assert point["num_requests"] == (intended >= 0.0).sum() == pytest.approx(750, abs=140)
    assert point["latency_s"]["p99"]["value"] > 0.7 * STALL_S
    assert point["latency_s"]["p50"]["value"] < 0.3 * STALL_S
    assert point["failures"] == {}
    assert "shared this machine's" in text


def test_failures_are_counted_by_kind_and_not_as_answers(port: str, texts: Path) -> None:
    body = texts.parent / "body.json"
    body.write_text('{"texts": ["{text}"], "truncate": true}', encoding="utf-8")
    arguments = ("--rate", "100", "--duration", "1", "--body", f"@{body}")
    report, text = serve(f"http://127.0.0.1:{port}/full", texts, *arguments)
    (point,) = report["points"]
    assert point["failures"].keys() == {"http_503"}
    assert point["failures"]["http_503"] == pytest.approx(point["num_requests"] / 3, abs=2)
    assert point["answered"]["value"] < 0.8 * point["offered"]
    assert "failed, http_503: HTTP 503" in text
    assert "the queue is full" in text


def test_the_open_inference_protocol_and_rows_that_are_missing(port: str, texts: Path) -> None:
    arguments = ("--clients", "2", "--duration", "0.5", "--docs-per-request", "2", "--words", "2", "5")
    report, text = serve(f"oip+http://127.0.0.1:{port}/m", texts, *arguments)
    (point,) = report["points"]
    assert point["failures"].keys() == {"bad_answer"}
    assert point["failures"]["bad_answer"] == pytest.approx(point["num_requests"] / 10, abs=2)
    assert "2 to a request, 2 to 5 words of the lines of" in text
    assert "2 texts were sent; the outputs have the shapes [[1, 2]]" in text


def test_a_flow_over_both_channels_and_two_runs_compared(texts: Path) -> None:
    arguments = ("--endpoint", "/lengths", "--clients", "2", "--rate", "60", "--duration", "0.7")
    with Flow().add(uses=Lengths) as flow:
        reports = {
            scheme: serve(f"{scheme}127.0.0.1:{flow.port}", texts, *arguments, name=name)[0]
            for name, scheme in (("own", ""), ("grpc", "grpc://"))
        }
        refused = bench("serve", f"127.0.0.1:{flow.port}", "--endpoint", "/fails", "--no-plots", "--texts", str(texts))
    for report in reports.values():
        closed, opened = report["points"]
        assert closed["failures"] == opened["failures"] == {}
        assert closed["num_requests"] > 10
        assert opened["num_requests"] == pytest.approx(42, abs=30)
    assert refused.exit_code == 1
    assert "did not answer the first request: executor: " in refused.stderr
    files = [str(next((texts.parent / f"out{name}").glob("*.json"))) for name in ("own", "grpc")]
    compared = bench("compare", *files)
    assert "60 requests/s" in compared.stdout
    assert "95 % interval" in compared.stdout
    invalid = any(report["failures"] for report in reports.values())
    assert compared.exit_code == (1 if invalid else 0), compared.stdout


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("http://127.0.0.1:9/encode", "did not answer the first request: cannot_connect"),
        ("127.0.0.1:9", "did not answer the first request: connection_lost"),
        ("oip+http://127.0.0.1:9/m", "does not answer"),
        ("ftp://127.0.0.1:9/m", "which is not understood"),
    ],
)
def test_a_service_that_is_not_there(target: str, told: str, texts: Path) -> None:
    done = bench("serve", target, "--no-plots", "--texts", str(texts), "--out", str(texts.parent / "out"))
    assert done.exit_code == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (texts.parent / "out").exists()
