"""The HTTP door, as curl and browsers meet it: bodies in every state, events, health, deadlines, people who leave."""

import asyncio
import base64
import gzip
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from dure import Document, DocumentArray, Executor, Flow, batching, requests
from dure.errors import SpecError
from tests.e2e.doors import post

LIMIT = 2**20


class Kitchen(Executor):
    def __init__(self, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path

    @requests(on="/upper")
    def upper(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Write texts in capitals.

        Nothing else.
        """
        docs.texts = [text.upper() for text in docs.texts]

    @requests(on="/slow")
    @batching(max_batch_size=1)
    def slow(self, docs: DocumentArray, **kwargs: Any) -> None:
        with open(self.path, "a") as file:
            file.write(docs[0].text + "\n")
        time.sleep(0.4)

    @requests(on="/parts")
    async def parts(self, docs: DocumentArray, **kwargs: Any) -> Any:
        """Count."""
        for number in range(3):
            yield Document(text=str(number))
            await asyncio.sleep(0.05)
        if docs[0].text == "fail":
            raise ValueError("burnt")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kitchen") / "log"


@pytest.fixture(scope="module")
def flow(path: Path) -> Iterator[Flow]:
    kitchen: dict[str, Any] = {"uses": Kitchen, "name": "kitchen", "uses_with": {"path": str(path)}}
    with Flow(protocol="http", max_request_bytes=LIMIT).add(**kitchen, max_queue_size=2, timeout_ready_s=20) as running:
        yield running


def get(flow: Flow, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", flow.port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


def raw(flow: Flow, data: bytes, wait_s: float = 5.0) -> bytes:
    """Send bytes as they are; return what comes until the Flow closes, or has said all."""
    with socket.create_connection(("127.0.0.1", flow.port), timeout=wait_s) as connection:
        connection.sendall(data)
        pieces = []
        try:
            while piece := connection.recv(65536):
                pieces.append(piece)
        except TimeoutError:
            pass
        return b"".join(pieces)


def texts(body: bytes) -> list[str]:
    return [doc["text"] for doc in json.loads(body)["data"]]


def error_of(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body)["error"]
    return found


def test_curls_request(flow: Flow) -> None:
    status, headers, body = post(flow.port, "/upper", {"data": [{"text": "many hands"}]})
    assert (status, headers["content-type"]) == (200, "application/json")
    assert list(json.loads(body)) == ["data"]
    assert texts(body) == ["MANY HANDS"]


def test_any_endpoint_can_be_named_in_the_body(flow: Flow) -> None:
    status, _, body = post(flow.port, "/post", {"endpoint": "/upper", "data": ["a"]})
    assert (status, texts(body)) == (200, ["A"])


def test_how_it_was_served_is_told_if_asked(flow: Flow) -> None:
    _, _, body = post(flow.port, "/upper", {"data": ["a", "b"], "explain": True})
    served = json.loads(body)["served"]["kitchen"]
    assert (served["replica"], served["batch_rows"]) == (0, 2)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "the body is not JSON"),
        (b"{", 400, "the body is not JSON"),
        (b"[1]", 400, "Expected `object`, got `array`"),
        (b'{"data": {"text": "a"}}', 400, "Expected `array`, got `object` - at `$.data`"),
        (b'{"dta": []}', 400, "unknown field `dta`"),
        (b'{"data": [{"txt": "a"}]}', 400, "no field 'txt'. Did you mean 'text'?"),
        (b'{"data": [1]}', 400, "data[0]"),
        (b'{"data": [{"text": 1}]}', 400, "data[0].text must be a text"),
        (b'{"data": [{"blob": "?"}]}', 400, "data[0].blob must be base64"),
        (b'{"data": [{"embedding": [[1], [2, 3]]}]}', 400, "data[0].embedding must be numbers in a regular shape"),
        (b'{"data": [{"embedding": [NaN]}]}', 400, "JSON"),
        (b'{"data": [' + b"[" * 5000 + b"]" * 5000 + b"]}", 400, "more than 100 deep"),
        (b'{"data": [{"tags": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}]}", 400, ""),
        (b'{"data": ["\xff\xfe"]}', 400, ""),
        (b'{"data": ["a"], "timeout_s": -1}', 422, "timeout_s must be a number of seconds"),
        (b'{"data": ["a"], "parameters": {"a": 123456789012345678901234567890}}', 400, ""),
    ],
)
def test_bodies_that_are_wrong(flow: Flow, body: bytes, status: int, words: str) -> None:
    got, _, answer = post(flow.port, "/upper", body)
    assert got == status, answer
    assert words in error_of(answer)["message"]


def test_other_methods_and_paths(flow: Flow) -> None:
    status, body = get(flow, "/upper")
    assert (status, error_of(body)["code"]) == (405, "method_not_allowed")
    status, headers, body = post(flow.port, "/health/live", b"")
    assert (status, headers["allow"], error_of(body)["code"]) == (405, "GET", "method_not_allowed")
    status, _, body = post(flow.port, "/uper", {"data": []})
    assert status == 404
    assert "Did you mean '/upper'?" in error_of(body)["message"]
    assert b" 405 " in raw(flow, b"GET * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").partition(b"\n")[0]


@pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_bodies_may_be_compressed(flow: Flow, name: str, pack: Any) -> None:
    body = pack(json.dumps({"data": ["a"]}).encode())
    status, _, answer = post(flow.port, "/upper", body, {"Content-Encoding": name})
    assert (status, texts(answer)) == (200, ["A"])
    for broken in (body[:-9], b"nothing of the kind"):
        assert post(flow.port, "/upper", broken, {"Content-Encoding": name})[0] == 400
    assert post(flow.port, "/upper", body, {"Content-Encoding": "br"})[0] == 400


def test_files_are_sent_as_curl_sends_them(flow: Flow, tmp_path: Path) -> None:
    file = tmp_path / "one.txt"
    file.write_text("두레 hands")
    url = f"http://127.0.0.1:{flow.port}/upper"

    def curl(*arguments: str) -> bytes:
        return subprocess.run(["curl", "-sS", url, *arguments], check=True, capture_output=True, timeout=20).stdout

    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    (doc,) = json.loads(curl("-F", f"file=@{file};type=text/plain"))["data"]
    assert (doc["text"], doc["tags"], doc["mime_type"]) == ("두레 HANDS", {"filename": "one.txt"}, "text/plain")
    assert texts(curl("--data-binary", f"@{file}", "-H", "Content-Type: text/plain")) == ["두레 HANDS"]
    assert texts(curl("-F", "text=a", "-F", "text=b")) == ["A", "B"]
    assert texts(curl("-d", '{"data": ["plain curl"]}')) == ["PLAIN CURL"]
    assert texts(curl("--data-urlencode", "text=a b")) == ["A B"]


def test_a_bomb_does_not_go_off(flow: Flow) -> None:
    bomb = gzip.compress(bytes(200 * 2**20))
    assert len(bomb) < LIMIT
    before = memory_mb(flow)
    status, _, body = post(flow.port, "/upper", bomb, {"Content-Encoding": "gzip"})
    assert (status, error_of(body)["code"]) == (413, "too_large")
    assert memory_mb(flow) - before < 30


def memory_mb(flow: Flow) -> float:
    return float(psutil.Process(flow.pids()["gateway"]).memory_info().rss) / 2**20


def test_too_large_is_refused_before_it_is_read(flow: Flow) -> None:
    head = b"POST /upper HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n"
    assert b"413" in raw(flow, head).partition(b"\r\n")[0]
    chunk = b"%x\r\n" % 2**16 + bytes(2**16) + b"\r\n"
    head = b"POST /upper HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert b"413" in raw(flow, head + chunk * 17 + b"0\r\n\r\n").partition(b"\r\n")[0]


@pytest.mark.parametrize(
    "head",
    [
        b"nothing of HTTP\r\n\r\n",
        b"POST /upper HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"POST /upper HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /upper HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_heads_that_are_wrong_end_the_connection(flow: Flow, head: bytes) -> None:
    begin = time.monotonic()
    answer = raw(flow, head)
    assert answer.startswith(b"HTTP/1.1 400") or answer == b""
    assert time.monotonic() - begin < 4
    assert post(flow.port, "/upper", {"data": ["on"]})[0] == 200


def test_several_requests_in_one_packet_are_answered_in_order(flow: Flow) -> None:
    def one(text: str, *, last: bool = False) -> bytes:
        body = json.dumps({"data": [text]}).encode()
        end = b"Connection: close\r\n" if last else b""
        return b"POST /upper HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), end, body)

    answer = raw(flow, one("a") + one("b") + one("c", last=True))
    assert [answer.index(text) for text in (b'"A"', b'"B"', b'"C"')] == sorted(
        answer.index(text) for text in (b'"A"', b'"B"', b'"C"')
    )


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, *;q=0.1", True),
        ("GZIP;Q=0.2", True),
        ("gzip;q=0", False),
        ("identity, gzip;q=0.5", False),
        ("deflate, br", False),
        ("gzip;q=much", False),
        (None, False),
    ],
)
def test_answers_are_compressed_for_who_accepts_it(flow: Flow, accepted: str | None, packed: bool) -> None:
    asked = {} if accepted is None else {"Accept-Encoding": accepted}
    status, headers, answer = post(flow.port, "/upper", {"data": ["many hands"] * 100}, asked)
    assert status == 200
    assert headers["vary"] == "accept-encoding"
    assert headers.get("content-encoding") == ("gzip" if packed else None)
    assert int(headers["content-length"]) == len(answer)
    told = json.loads(gzip.decompress(answer) if packed else answer)
    assert [document["text"] for document in told["data"]] == ["MANY HANDS"] * 100
    assert not packed or len(answer) < 4000


def test_what_is_short_or_does_not_shrink_is_not_compressed(flow: Flow) -> None:
    asked = {"Accept-Encoding": "gzip"}
    assert "content-encoding" not in post(flow.port, "/upper", {"data": ["a"]}, asked)[1]
    blob = base64.b64encode(random.Random(0).randbytes(200_000)).decode()
    status, headers, answer = post(flow.port, "/upper", {"data": [{"text": "a", "blob": blob}]}, asked)
    assert (status, headers.get("content-encoding"), headers["vary"]) == (200, None, "accept-encoding")
    assert json.loads(answer)["data"][0]["blob"] == blob
    large = {"data": ["many hands " * 20_000]}  # in a thread
    status, headers, answer = post(flow.port, "/upper", large, asked)
    assert headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer))["data"][0]["text"] == "MANY HANDS " * 20_000


def test_parts_come_as_events(flow: Flow) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", flow.port, timeout=10)
    connection.request(
        "POST", "/parts", json.dumps({"data": ["x"]}), {"Accept": "text/event-stream", "Accept-Encoding": "gzip"}
    )
    answer = connection.getresponse()
    assert answer.getheader("content-type") == "text/event-stream"
    assert answer.getheader("content-encoding") is None
    first = answer.readline() + answer.readline()
    early = time.monotonic()
    rest = answer.read()
    assert time.monotonic() - early > 0.05, "the first part did not wait for the last"
    assert b'"text":"0"' in first
    assert [line for line in rest.splitlines() if line.startswith(b"event")] == [
        b"event: part",
        b"event: part",
        b"event: done",
    ]
    connection.close()


def test_a_stream_that_fails_ends_with_an_error_event(flow: Flow) -> None:
    _, _, body = post(flow.port, "/parts", {"data": ["fail"]}, {"Accept": "text/event-stream"})
    last = body.strip().split(b"\n\n")[-1]
    assert last.startswith(b"event: error")
    assert "burnt" in json.loads(last.partition(b"data: ")[2])["error"]["message"]


def test_a_header_may_say_until_when(flow: Flow) -> None:
    status, _, body = post(flow.port, "/slow", {"data": ["late"]}, {"X-Request-Timeout-Ms": "100"})
    assert (status, error_of(body)["code"]) == (504, "deadline_exceeded")
    assert post(flow.port, "/slow", {"data": ["late"]}, {"X-Request-Timeout-Ms": "soon"})[0] == 422


def test_who_leaves_is_noticed_and_who_waits_too_many_is_told_when_to_come_again(flow: Flow, path: Path) -> None:
    time.sleep(0.5)
    path.write_text("")

    def begin(text: str) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", flow.port, timeout=10)
        connection.request("POST", "/slow", json.dumps({"data": [text]}))
        time.sleep(0.05)
        return connection

    opened = [begin(text) for text in ("runs", "in the worker's hands", "queued", "queued, too")]
    status, headers, body = post(flow.port, "/slow", {"data": ["one too many"]})
    assert (status, error_of(body)["code"]) == (503, "queue_full")
    assert int(headers["retry-after"]) >= 1
    assert 100 <= int(headers["retry-after-ms"]) <= 30_000
    for connection in opened[2:]:
        connection.close()
    for connection in opened[:2]:
        assert connection.getresponse().status == 200
        connection.close()
    time.sleep(0.6)
    assert path.read_text().splitlines() == ["runs", "in the worker's hands"]


def test_health(flow: Flow) -> None:
    assert get(flow, "/health/live") == (200, b'{"live":true}')
    assert get(flow, "/health/ready") == (200, b'{"ready":true}')


def test_the_document_is_valid_and_tells_of_every_endpoint(flow: Flow) -> None:
    from openapi_spec_validator import validate

    document = json.loads(get(flow, "/openapi.json")[1])
    validate(document)
    assert {"/upper", "/slow", "/parts"} <= set(document["paths"])
    upper = document["paths"]["/upper"]["post"]
    assert (upper["summary"], upper["description"]) == ("Write texts in capitals.", "Write texts in capitals.")
    assert "text/event-stream" in document["paths"]["/parts"]["post"]["responses"]["200"]["content"]


def test_the_page_needs_nothing_from_elsewhere(flow: Flow) -> None:
    status, page = get(flow, "/docs")
    assert status == 200
    assert b"http://" not in page
    assert b"https://" not in page
    for asset in (b"swagger-ui.css", b"swagger-ui-bundle.js", b"start.js"):
        assert b'="docs/' + asset in page
        assert get(flow, f"/docs/{asset.decode()}")[0] == 200
    assert get(flow, "/docs/")[0] == 307
    for path in ("/docs/../http_app.py", "/docs/%2e%2e/%2e%2e/etc/passwd", "/docs//etc/passwd", "/docs/index.html"):
        assert get(flow, path)[0] == 404


def test_the_own_channel_works_beside_it(flow: Flow) -> None:
    assert flow.post("/upper", "a").texts == ["A"]


def test_a_flow_that_ends_answers_what_it_has(path: Path) -> None:
    kitchen: dict[str, Any] = {"uses": Kitchen, "name": "kitchen", "uses_with": {"path": str(path)}}
    flow = Flow(protocol="http").add(**kitchen, timeout_ready_s=20).start()
    connection = http.client.HTTPConnection("127.0.0.1", flow.port, timeout=10)
    connection.request("POST", "/slow", json.dumps({"data": ["last"]}))
    time.sleep(0.1)
    os.kill(flow.pids()["gateway"], signal.SIGTERM)
    answer = connection.getresponse()
    assert (answer.status, texts(answer.read())) == (200, ["last"])
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", flow.port), timeout=2).close()
    flow.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"protocol": "htp"}, "htp"),
        ({"protocol": ["http", "http"]}, "protocol names one twice"),
        ({"protocol": ["http", "grpc"], "port": [1, 2, 3]}, "port has 3 numbers for 2 protocols"),
        (
            {"protocol": ["http", "grpc"], "port": [8080, 8080], "tls_cert": "c", "tls_key": "k"},
            "with TLS, grpc cannot share 8080",
        ),
        ({"protocol": ["http", "websocket"], "port": [8080, 8081]}, "http and websocket share one"),
        ({"protocol": []}, "protocol"),
    ],
)
def test_settings_that_are_wrong(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Flow(**settings)
