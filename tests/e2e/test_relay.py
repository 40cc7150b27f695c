"""A Flow mounted in a FastAPI app that uvicorn serves: requests, events, WebSockets, who asks, beginning and end."""

import contextlib
import gzip
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from dure import Executor, Flow
from dure.errors import SpecError
from tests.e2e.doors import post

pytest.importorskip("fastapi", reason="fastapi is not installed")

SITE = '''
import contextlib
import json
import os
import time

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from dure import Document, Executor, Flow, requests


class Kitchen(Executor):
    @requests(on="/upper")
    def upper(self, docs, **kwargs):
        """Write texts in capitals."""
        docs.texts = [text.upper() for text in docs.texts]

    @requests(on="/words")
    def words(self, docs, **kwargs):
        for word in docs[0].text.split():
            yield Document(text=word)
            time.sleep(0.3)

    @requests(on="/slow")
    def slow(self, docs, **kwargs):
        with open(os.environ["SERVED"], "a") as file:
            file.write(docs[0].text + " ")
        time.sleep(0.5)


settings = json.loads(os.environ.get("SETTINGS", "{}"))
flow = Flow(protocol=["http", "websocket"], max_request_bytes=2**20, **settings)
door = flow.add(uses=Kitchen, name="kitchen", batching={"max_batch_size": 1}, timeout_ready_s=20).asgi()


@contextlib.asynccontextmanager
async def lifespan(app):
    async with door.lifespan(app):
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/")
def index():
    return "welcome"


@app.get("/own")
def own():
    return door.flow.post("/upper", "rice").texts


app.mount("/a b/dure", door)
forgetful = FastAPI()
forgetful.mount("/dure", door)
'''

PREFIX = "/a%20b/dure"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Site(NamedTuple):
    """A server's process, its port, and where the Executor writes whom it served."""

    process: subprocess.Popen[bytes]
    port: int
    served: Path


@contextlib.contextmanager
def serving(
    folder: Path, app: str = "site_app:app", *, believes_proxies: bool = False, **settings: Any
) -> Iterator[Site]:
    (folder / "site_app.py").write_text(SITE)
    served = folder / "served"
    served.touch()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "SERVED": str(served), "SETTINGS": json.dumps(settings)}
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "warning"]
    command += [] if believes_proxies else ["--no-proxy-headers"]
    process = subprocess.Popen(command, cwd=folder, env=environment)
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None, "uvicorn has ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield Site(process, port, served)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("site"), max_requests_per_s_per_address=10_000) as running:
        yield running


def get(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_the_flow_answers_below_the_prefix_and_the_app_everywhere_else(site: Site) -> None:
    assert get(site.port, "/")[2] == b'"welcome"'
    assert json.loads(get(site.port, "/own")[2]) == ["RICE"]
    status, headers, body = post(site.port, f"{PREFIX}/upper", {"data": [{"id": "a", "text": "쌀 rice"}]})
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body)["data"] == [{"id": "a", "text": "쌀 RICE"}]
    assert get(site.port, f"{PREFIX}/health/ready")[0] == 200
    status, _, body = post(site.port, f"{PREFIX}/none", {"data": []})
    assert (status, json.loads(body)["error"]["code"]) == (404, "endpoint_not_found")


def test_bodies_of_every_kind(site: Site) -> None:
    texts = ["rice " * 1000] * 40
    body = gzip.compress(json.dumps({"data": texts}).encode())
    sent = {"Content-Encoding": "gzip", "Accept-Encoding": "gzip"}
    status, headers, answer = post(site.port, f"{PREFIX}/upper", body, sent)
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert [one["text"] for one in json.loads(gzip.decompress(answer))["data"]] == [text.upper() for text in texts]
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    pieces = (b'{"data": ["a"', b', "b"', b"]}")
    connection.request("POST", f"{PREFIX}/upper", iter(pieces), {}, encode_chunked=True)
    assert [one["text"] for one in json.loads(connection.getresponse().read())["data"]] == ["A", "B"]
    connection.close()
    assert post(site.port, f"{PREFIX}/upper", b"x" * (2**20 + 1))[0] == 413


def test_events_come_as_they_are_made(site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    began = time.monotonic()
    body = json.dumps({"data": ["many hands one job"]})
    connection.request("POST", f"{PREFIX}/words", body, {"Accept": "text/event-stream"})
    answer = connection.getresponse()
    first = answer.readline() + answer.readline()
    assert time.monotonic() - began < 0.9, "the first part waited for the last"
    assert b"many" in first
    rest = answer.read()
    assert time.monotonic() - began > 0.9
    assert [line for line in rest.splitlines() if line.startswith(b"event")][-1] == b"event: done"
    connection.close()


def test_who_leaves_is_noticed(site: Site) -> None:
    def begin(text: str) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
        connection.request("POST", f"{PREFIX}/slow", json.dumps({"data": [text]}))
        return connection

    first = begin("first")
    time.sleep(0.2)
    begin("gone").close()
    second = begin("second")
    assert [connection.getresponse().status for connection in (first, second)] == [200, 200]
    assert site.served.read_text().split() == ["first", "second"]
    first.close()
    second.close()


def test_websockets_in_both_directions(site: Site) -> None:
    with connect(f"ws://127.0.0.1:{site.port}{PREFIX}/", max_size=None) as opened:
        for i in range(20):
            opened.send(json.dumps({"id": i, "endpoint": "/upper", "data": ["rice" * 20_000]}))
        told = [json.loads(opened.recv(timeout=20)) for _ in range(20)]
        assert sorted(answer["id"] for answer in told) == list(range(20))
        assert {answer["data"][0]["text"] for answer in told} == {"RICE" * 20_000}
        opened.send(b"\xff\xff")
        assert "RequestsEnvelope" in json.loads(opened.recv(timeout=20))["error"]["message"]


def test_its_pages_work_below_the_prefix(site: Site) -> None:
    assert get(site.port, PREFIX)[1]["location"].endswith("/a%20b/dure/")
    page = get(site.port, f"{PREFIX}/")[2]
    assert b'href="page/page.css"' in page
    assert b'="/' not in page
    assert get(site.port, f"{PREFIX}/page/page.css")[0] == 200
    assert b'src="docs/start.js"' in get(site.port, f"{PREFIX}/docs")[2]
    assert get(site.port, f"{PREFIX}/docs/swagger-ui-bundle.js")[0] == 200


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
def test_its_pages_work_below_the_prefix_in_a_browser(site: Site) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        page = browser.new_page(locale="en-GB")
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"http://127.0.0.1:{site.port}{PREFIX}")
        playwright.expect(page.locator("#state")).to_have_text("ready")
        page.locator("#endpoint").select_option("/upper")
        page.locator("#text").fill("many hands")
        page.get_by_role("button", name="Send").click()
        playwright.expect(page.locator("#answer")).to_contain_text("MANY HANDS")
        page.get_by_role("link", name="Endpoints").click()
        row = page.locator("#operations-default-upper")
        row.locator(".opblock-summary-control").click()
        row.get_by_role("button", name="Execute").click()
        playwright.expect(row.locator(".response .response-col_status").first).to_contain_text("200")
        playwright.expect(row.locator(".live-responses-table")).to_contain_text("MANY HANDS")
        assert faults == []
        browser.close()


def test_the_flow_knows_who_asks(tmp_path: Path) -> None:
    """Nobody becomes this machine by coming through it, or by saying so."""
    with serving(tmp_path, max_requests_per_s_per_address=2) as site:
        liar = {"X-Forwarded-For": "10.1.1.1", "X-Forwarded-Host": "evil.example"}
        answers = [post(site.port, f"{PREFIX}/upper", {"data": ["a"]}, liar) for _ in range(6)]
        refused = json.loads(answers[-1][2])["error"]
        assert (answers[-1][0], refused["code"]) == (429, "rate_limited")
        assert "127.0.0.1" in refused["message"]
        for sent in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            assert post(site.port, f"{PREFIX}/upper", {"data": ["a"]}, sent)[0] == 403
            with pytest.raises(InvalidStatus) as caught:
                connect(f"ws://127.0.0.1:{site.port}{PREFIX}/", additional_headers={"Origin": "http://evil.example"})
            assert caught.value.response.status_code == 403
        own = {"Origin": f"http://127.0.0.1:{site.port}"}
        assert post(site.port, f"{PREFIX}/upper", {"data": ["a"]}, own)[0] in (200, 429)
    load = f"{PREFIX}/v2/repository/models/upper/load"
    with serving(tmp_path, believes_proxies=True) as site:
        assert post(site.port, load, {})[0] == 200
        status, _, body = post(site.port, load, {}, {"X-Forwarded-For": "10.1.1.1"})
        assert (status, b"from this machine only" in body) == (403, True)


def test_it_starts_and_ends_with_the_app(tmp_path: Path) -> None:
    with serving(tmp_path) as site:
        children = psutil.Process(site.process.pid).children(recursive=True)
        assert len(children) >= 2
        with connect(f"ws://127.0.0.1:{site.port}{PREFIX}/") as opened:
            site.process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed):
                opened.recv(timeout=10)
            assert site.process.wait(20) in (0, -signal.SIGTERM)
    assert not psutil.wait_procs(children, timeout=5)[1]


def test_alone_and_without_its_lifespan(tmp_path: Path) -> None:
    with serving(tmp_path, "site_app:door") as site:
        assert post(site.port, "/upper", {"data": ["a"]})[0] == 200
        assert json.loads(get(site.port, "/openapi.json")[2]).get("servers") is None
    with serving(tmp_path, "site_app:forgetful") as site:
        assert post(site.port, "/dure/upper", {"data": ["a"]})[0] == 500


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "called over HTTP"),
        ({"protocol": "http", "host": "0.0.0.0", "insecure": True}, "this machine only"),
        ({"protocol": "http", "tls_cert": "c.pem", "tls_key": "k.pem"}, "leaves TLS"),
    ],
)
def test_settings_with_which_it_could_not_be_reached(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Flow(**settings).add(uses=Executor).asgi()
