"""Web singleton: one process that holds both the web front and the model. An Executor is used as an ordinary object.

    python singleton.py [number of texts] [rounds]    # measures it beside a Flow with the same Executor
    python singleton.py serve [port]                  # serves it until Ctrl-C

    curl -d '["many hands", "one job"]' http://127.0.0.1:8000/encode

Without a number it takes 200, or as many as the environment variable DURE_EXAMPLE_DOCS says.
"""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any

from dure import Document, DocumentArray, Flow
from dure.dataset import corpus
from dure.errors import ValidationError
from dure.nlp.encoder import SentenceEncoder

NUM_CLIENTS = (1, 16)
THREADS = 1  # of the model, here and there: so the comparison does not depend on who gets the second core


class Front(BaseHTTPRequestHandler):
    """`POST /encode` takes a JSON list of texts, and answers with a list of embeddings."""

    protocol_version = "HTTP/1.1"  # connections are kept
    disable_nagle_algorithm = True
    encoder: SentenceEncoder
    one_at_a_time = threading.Lock()  # nobody promises that an Executor may be called by several threads

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path != "/encode":
            self.answer(404, f"nothing answers {self.path}; there is /encode")
            return
        try:
            docs = DocumentArray(Document(text=text) for text in json.loads(body))
        except (TypeError, ValueError, ValidationError) as error:
            self.answer(400, f"a JSON list of texts is needed: {error}")
            return
        with self.one_at_a_time:
            self.encoder.encode(docs)
        self.answer(200, docs.embeddings.tolist() if len(docs) else [])

    def answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def serve(port: int) -> None:
    with SentenceEncoder() as Front.encoder, ThreadingHTTPServer(("127.0.0.1", port), Front) as server:
        print(server.server_port, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped")


@contextmanager
def singleton() -> Iterator[int]:
    """Start the singleton as a program of its own; yield its port."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    command = [sys.executable, __file__, "serve", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


@contextmanager
def asker(port: int) -> Iterator[Callable[[str], Any]]:
    """Yield what sends one text over HTTP; as many threads as there are clients may call it at a time."""
    free: SimpleQueue[HTTPConnection] = SimpleQueue()

    def ask(text: str) -> Any:
        connection = free.get()
        connection.request("POST", "/encode", json.dumps([text]))
        answer = connection.getresponse()
        value = json.loads(answer.read())
        free.put(connection)
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {value}")
        return value[0]

    with ExitStack() as opened:
        for _ in range(max(NUM_CLIENTS)):
            free.put(opened.enter_context(closing(HTTPConnection("127.0.0.1", port))))
        yield ask


def main() -> None:
    num_docs = int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("DURE_EXAMPLE_DOCS", "200"))
    num_rounds = int(sys.argv[2] if len(sys.argv) > 2 else os.environ.get("DURE_EXAMPLE_ROUNDS", "5"))
    texts = corpus.read(num_docs)
    flow = Flow().add(uses=SentenceEncoder, cpu_threads=THREADS)
    with singleton() as port, asker(port) as over_http, flow:
        ways: dict[str, Callable[[str], Any]] = {
            "web singleton": over_http,
            "Flow": lambda text: flow.post("/encode", text)[0].embedding,
        }
        for ask in ways.values():
            ask("The first request is slow.")
        print(f"{num_docs} texts, one a request, {num_rounds} rounds; median (least-most) of the rounds")
        print(f"{'':14} {'clients':>7} {'texts/s':>16} {'p50, ms':>18} {'p95, ms':>18}")
        for num_clients in NUM_CLIENTS:
            rounds = [{name: load(ask, texts, num_clients) for name, ask in ways.items()} for _ in range(num_rounds)]
            for name in ways:
                rate, median, high = zip(*(one[name] for one in rounds), strict=True)
                print(f"{name:14} {num_clients:7} {spread(rate, 0):>16} {spread(median, 1):>18} {spread(high, 1):>18}")


def load(ask: Callable[[str], Any], texts: list[str], num_clients: int) -> tuple[float, float, float]:
    """Return texts per second, and the median and the 95th percentile of the milliseconds that an answer took."""

    def timed(text: str) -> float:
        began = time.perf_counter()
        ask(text)
        return (time.perf_counter() - began) * 1e3

    began = time.perf_counter()
    with ThreadPoolExecutor(num_clients) as clients:
        took = sorted(clients.map(timed, texts))
    return len(texts) / (time.perf_counter() - began), statistics.median(took), took[int(0.95 * len(took))]


def spread(values: tuple[float, ...], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]) if len(sys.argv) > 2 else 8000)
    else:
        main()
