"""The HTTP door of a running Flow: what its OpenAPI document says, held against what it does, and bytes of any kind."""

import contextlib
import re
import selectors
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import strategies as st

from tests.fuzz.mutation import TOKENS, around
from tests.fuzz.samples import FORM_TYPE, FORMS
from tests.fuzz.search import Search
from tests.fuzz.service import LIMIT, Service

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
NOT_OFFERED = b"501"
"""What the Open Inference Protocol has and this Flow lacks."""

PATIENCE_S = 0.15


def answers(service: Service, streams: list[bytes]) -> list[bytes]:
    """Send each of these over a connection of its own; return what came back within a moment."""
    found = [b""] * len(streams)
    with selectors.DefaultSelector() as selector:
        sockets = []
        for i, data in enumerate(streams):
            one = socket.create_connection(("127.0.0.1", service.ports["http"]), timeout=5)
            sockets.append(one)
            with contextlib.suppress(OSError):  # it may be told to stop before it has sent all
                one.sendall(data)
            one.setblocking(False)
            selector.register(one, selectors.EVENT_READ, i)
        until = time.monotonic() + PATIENCE_S
        while selector.get_map() and (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                try:
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                except OSError:
                    data = b""
                found[key.data] += data
                if not data:
                    selector.unregister(key.fileobj)
        for one in sockets:
            one.close()
    return found


def request(line: str, body: bytes = b"", *headers: bytes, length: int | None = None) -> bytes:
    """Return a request as it goes over the wire."""
    said = len(body) if length is None else length
    head = [f"{line} HTTP/1.1".encode("latin-1"), b"Host: localhost", b"Content-Length: %d" % said, *headers]
    return b"\r\n".join([*head, b"", body])


HEADS = b'{"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 5}}]}'
UPPER = b'{"data": [{"text": "a"}]}'
REQUESTS = [
    request("POST /upper", UPPER, b"Content-Type: application/json", b"X-Request-Timeout-Ms: 5000"),
    request("POST /upper", b'{"data": [], "timeout_s": 5}') + request("GET /openapi.json"),
    request("POST /upper", FORMS[1], b"Content-Type: " + FORM_TYPE),
    request(
        "POST /encode", b"text=a", b"Content-Type: application/x-www-form-urlencoded", b"Accept: text/event-stream"
    ),
    request("POST /parts", b'{"data": ["a", "b"]}', b"Accept: text/event-stream"),
    request("POST /post", b'{"endpoint": "/count", "data": ["a"]}', b"Origin: http://localhost"),
    request("POST /v1/embeddings", b'{"model": "encode", "input": ["a", "b"]}', b"Authorization: Bearer x"),
    request("GET /v1/models/encode"),
    request(
        "POST /v2/models/encode/versions/1/infer",
        HEADS + b"\1\0\0\0a",
        b"Inference-Header-Content-Length: %d" % len(HEADS),
    ),
    request("GET /v2/models/encode/config") + request("GET /v2/models/stats") + request("GET /v2/health/ready"),
    request("POST /v2/repository/models/encode/load", b'{"parameters": {}}') + request("POST /v2/repository/index"),
    request(
        "POST /upper", b'5\r\n{"dat\r\n9\r\na": ["x"]\r\n1\r\n}\r\n0\r\n\r\n', b"Transfer-Encoding: chunked"
    ).replace(b"Content-Length: 38\r\n", b""),
    request(
        "GET /",
        b"",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
    ),
    request("OPTIONS /upper", b"", b"Origin: http://localhost", b"Access-Control-Request-Method: POST"),
]


def check_answer(answer: bytes) -> None:
    """Fail if an answer says that the service has a fault."""
    statuses = [status for status in _STATUS.findall(answer) if status != NOT_OFFERED]
    assert not [status for status in statuses if status >= b"500"], answer[:2000]


def test_bytes_of_any_kind(search: Search, service: Service) -> None:
    def check(streams: list[bytes]) -> None:
        for answer in answers(service, streams):
            check_answer(answer)

    search(st.lists(around(REQUESTS), min_size=1, max_size=12), check)


SEGMENTS = (
    *(
        "..",
        ".",
        "%2e%2e",
        "%2E%2e%2f",
        "%252e%252e%252f",
        "%5c..%5c",
        "%00",
        "%c0%ae",
        "%ff",
        "%",
        "%zz",
        "//",
        ";a=b",
    ),
    *(
        "?a=b",
        "#",
        "%3f",
        "a" * 3000,
        "%0d%0aX:%20y",
        "versions",
        "1",
        "infer",
        "models",
        "repository",
        "encode",
        "upper",
    ),
    *(
        "load",
        "unload",
        "stats",
        "trace",
        "setting",
        "%ed%a0%80",
        "%F0%9F%98%80",
        "*",
        "%2Fetc%2Fpasswd",
        "default",
        "v1",
    ),
)


def test_paths(search: Search, service: Service) -> None:
    def check(paths: list[tuple[str, str]]) -> None:
        for answer, given in zip(answers(service, [request(f"{m} {p}", UPPER) for m, p in paths]), paths, strict=True):
            check_answer(answer)
            assert b"root:" not in answer, given

    starts = st.sampled_from(
        ["/", "/v2/models/", "/v1/models/", "/v2/", "/docs/", "/page/", "/v2/repository/models/", ""]
    )
    paths = st.builds(
        lambda start, rest: start + "/".join(rest), starts, st.lists(st.sampled_from(SEGMENTS), max_size=5)
    )
    methods = st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE"])
    search(st.lists(st.tuples(methods, paths), min_size=1, max_size=12), check)


def _values() -> st.SearchStrategy[bytes]:
    pieces = st.sampled_from([token for token in TOKENS if b"\r" not in token and b"\n" not in token])
    return pieces | st.sampled_from(
        [b"9" * 5000, b"9" * 400, b"0", b"-1", b"1e9", b"gzip", b"text/event-stream", b"100-continue"]
    )


def test_headers(search: Search, service: Service) -> None:
    names = [
        *(
            b"X-Request-Timeout-Ms",
            b"Content-Type",
            b"Content-Encoding",
            b"Accept",
            b"Accept-Encoding",
            b"Authorization",
        ),
        *(
            b"X-Api-Key",
            b"Origin",
            b"Host",
            b"Expect",
            b"Content-Length",
            b"Transfer-Encoding",
            b"Connection",
            b"Upgrade",
        ),
        *(b"Inference-Header-Content-Length", b"traceparent", b"X-Forwarded-For", b"Cookie", b"Range"),
    ]
    lines = st.builds(lambda name, value: name + b": " + value, st.sampled_from(names), _values())
    targets = [
        ("POST /upper", UPPER),
        ("POST /v2/models/encode/infer", HEADS),
        ("GET /docs", b""),
        ("POST /v1/embeddings", b'{"model": "encode", "input": "a"}'),
    ]
    one = st.builds(
        lambda target, more: request(target[0], target[1], *more),
        st.sampled_from(targets),
        st.lists(lines, min_size=1, max_size=3),
    )

    def check(streams: list[bytes]) -> None:
        for answer in answers(service, streams):
            check_answer(answer)

    search(st.lists(one, min_size=1, max_size=12), check)


def test_sizes_that_lie(service: Service) -> None:
    """Each of these is refused, or waited for; none is believed."""
    body = b"x" * 100
    streams = {
        "more than is accepted": (request("POST /upper", b"x", length=LIMIT + 1), b"413"),
        "more digits than anybody needs": (request("POST /upper", b"x", length=10**30), b"400"),
        "less than nothing": (request("POST /upper", b"x", length=-1), b"400"),
        "twice": (request("POST /upper", body, b"Content-Length: 5"), b"400"),
        "and chunks": (request("POST /upper", body, b"Transfer-Encoding: chunked"), b"400"),
        "a chunk of all there is": (
            b"POST /upper HTTP/1.1\r\nHost: a.localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + b"F" * 20 + b"\r\n",
            b"400",
        ),
        "a head without an end": (b"GET /" + b"a" * 100_000, b"400"),
        "many headers": (request("GET /", b"", *[b"X-%d: y" % i for i in range(20_000)]), b"400"),
        "an odd line": (b"\0\1\2\3\r\n\r\n", b"400"),
        "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100, b"400"),
        "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
    }
    found = answers(service, [stream for stream, _ in streams.values()])
    told = {name: [b"HTTP/1.1 " + status] for name, (_, status) in streams.items()}
    assert {name: [answer[:12]] for name, answer in zip(streams, found, strict=True)} == told


def test_parts_that_come_slowly(service: Service) -> None:
    stream = request("POST /upper", UPPER)
    with socket.create_connection(("127.0.0.1", service.ports["http"]), timeout=10) as one:
        for i in range(len(stream)):
            one.sendall(stream[i : i + 1])
            time.sleep(0.002)
        assert one.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.share(12)
def test_what_the_openapi_document_says(service: Service, seconds: float, seed: int, tmp_path: Path) -> None:
    """Schemathesis sends what the document allows and what it does not, and looks at every answer."""
    command = [
        *(
            sys.executable,
            "-m",
            "schemathesis.cli",
            "--config-file",
            str(Path(__file__).with_name("schemathesis.toml")),
        ),
        *("run", f"{service.url}/openapi.json"),
        # That lists of numbers have a regular shape cannot be said in a schema: valid ones may be refused.
        *(
            "--checks",
            "all",
            "--exclude-checks",
            "positive_data_acceptance",
            "--phases",
            "examples,coverage,fuzzing",
            "--mode",
            "all",
            "--max-time",
            str(round(seconds)),
        ),
        *("--seed", str(seed), "--continue-on-failure", "--suppress-health-check", "all", "--no-color"),
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60 + 2 * seconds, cwd=tmp_path)
    assert run.returncode == 0, run.stdout[-12_000:] + run.stderr[-2000:]
