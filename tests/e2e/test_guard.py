"""Every route over every protocol for every kind of key: made from the doors' own tables, so that none is left out."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import grpc
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from dure import AsyncClient, Client, Flow
from dure.errors import DureError, Forbidden, RateLimited, SpecError, Unauthenticated
from dure.gateway import rules
from dure.gateway.grpc_front import GrpcFront
from dure.gateway.guard import Guard
from dure.gateway.http_app import HttpApp
from dure.gateway.keys import Key, Scope, add, revoke
from dure.gateway.limits import Limits
from dure.gateway.router import Router
from dure.spec import GatewaySpec
from tests.e2e.steps import Slow

ROLES = ("nobody", "wrong", "expired", "revoked", "infer", "admin", "metrics")


def made(path: Path, *scopes: Scope, limits: Limits = Limits(), **fields: Any) -> str:  # noqa: B008 - it is frozen
    values = {"name": "one", "scopes": list(scopes) or [Scope.INFER], "limits": limits, **fields}
    return add(path, lambda name, salt, digest: Key(id=name, salt=salt, hash=digest, **values))


# -- the doors' tables -------------------------------------------------------------------------------------------------


class _Recorder:
    """Takes what the gRPC door tells its server, in place of one."""

    def __init__(self) -> None:
        self.methods: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        for handler in handlers:
            self.methods.update(handler._method_handlers)

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        self.methods.update({f"/{service}/{name}": handler for name, handler in handlers.items()})

    def add_insecure_port(self, address: str) -> int:
        return 1

    async def start(self) -> None:
        """Nothing is listened to."""


def grpc_methods() -> dict[str, Any]:
    async def recorded() -> dict[str, Any]:
        spec = GatewaySpec()
        front = GrpcFront(Router({}, lambda: None, lambda _: None), Guard(spec), spec, 0)
        server, recorder = front._server, _Recorder()
        front._server = recorder  # type: ignore[assignment]
        await front.open()
        await server.stop(0)
        return recorder.methods

    return asyncio.run(recorded())


APP = HttpApp(Router({}, lambda: None, lambda _: None), GatewaySpec())
FAMILIES = sorted(APP._families)
HTTP = [
    *APP._fixed,
    *[("GET", f"/{family}/what-is-below-it") for family in FAMILIES],
    *[("POST", f"/{family}/what-is-below-it") for family in FAMILIES],
    *[(method, "/an-endpoint") for method in ("POST", "GET", "PUT", "DELETE", "PATCH")],
    ("GET", "/v2/health/live"),
    ("GET", "/v2/health/ready"),
    ("GET", "/health/live/"),
    ("GET", "//health/live"),
    ("POST", "/health/live"),
    ("POST", "/v2/repository/models/slow/load"),
    ("POST", "/v2/repository/models/slow/unload"),
    ("POST", "/v2/trace/setting"),
    ("POST", "/v2/models/slow/trace/setting"),
    ("POST", "/v2/logging"),
]
GRPC = grpc_methods()
OPEN = re.compile(
    r"GET /((v2/)?health/(live|ready))?|(GET|POST) /page/.*"
    r"|/grpc\.health\.v1\.Health/\w+|/inference\.\w+/Server(Live|Ready)"
)
ADMIN = re.compile(
    r".*/(un)?load|.* /v2/(models/slow/)?(trace/setting|logging)"
    r"|.*Repository(Model)?(Unl|L)oad|.*/(TraceSetting|LogSettings)"
)


def wanted(route: str) -> str:
    if OPEN.fullmatch(route):
        return "open"
    if ADMIN.fullmatch(route):
        return "admin"
    return "metrics" if route == "GET /live.json" else "infer"


def verdict(route: str, role: str) -> str:
    """What is to come of it: let in, or which refusal."""
    need = wanted(route)
    if need in ("open", role):
        return "in"
    return "forbidden" if role in ("infer", "admin", "metrics") else "unauthenticated"


def test_every_route_has_a_rule() -> None:
    """A new route without one is not served to anybody by accident: say in rules.py what it asks for."""
    assert set(APP._fixed) <= set(rules.HTTP)
    assert set(FAMILIES) <= set(rules.FAMILIES)
    assert {name.rpartition("/")[0] for name in GRPC} <= set(rules.GRPC)
    assert rules.of_grpc("/new.Service/Method") is Scope.ADMIN


# -- the matrix --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    found = {role: made(path, Scope(role)) for role in ("infer", "admin", "metrics")}
    found["expired"] = made(path, *Scope, expires_at=datetime.now(UTC) - timedelta(minutes=1))
    found["revoked"] = made(path, *Scope, name="gone")
    revoke(path, "gone")
    found["wrong"] = found["infer"][:-4] + "AAAA"
    found["file"] = str(path)
    found["few"] = made(path, limits=Limits(max_requests_per_s=2))
    return found


@pytest.fixture(scope="module")
def flow(keys: dict[str, str]) -> Iterator[Flow]:
    settings = {"keys_file": keys["file"], "metrics_port": 0, "cors_origins": ["https://shop.example"]}
    with Flow(protocol=["grpc", "http", "websocket"], **settings).add(uses=Slow, name="slow") as flow:
        yield flow


def asked(
    flow: Flow, method: str, path: str, headers: dict[str, str], body: str = "{}", door: str = "http"
) -> tuple[int, dict[str, str]]:
    connection = HTTPConnection("127.0.0.1", flow.ports[door], timeout=20)
    try:
        connection.request(method, path, body if method != "GET" else None, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def bearer(keys: dict[str, str], role: str) -> dict[str, str]:
    return {} if role == "nobody" else {"authorization": f"Bearer {keys[role]}"}


@pytest.mark.parametrize("role", ROLES)
def test_http(flow: Flow, keys: dict[str, str], role: str) -> None:
    found, right = {}, {}
    for method, path in HTTP:
        status, _ = asked(flow, method, path, bearer(keys, role))
        word = {401: "unauthenticated", 403: "forbidden"}.get(status, "in")
        found[f"{method} {path}"], right[f"{method} {path}"] = word, verdict(f"{method} {path}", role)
    assert found == right


@pytest.mark.parametrize("role", ROLES)
def test_grpc(flow: Flow, keys: dict[str, str], role: str) -> None:
    found, right = {}, {}
    metadata = tuple(bearer(keys, role).items())
    with grpc.insecure_channel(f"127.0.0.1:{flow.ports['grpc']}") as channel:
        for name, handler in GRPC.items():
            kind = f"{'stream' if handler.request_streaming else 'unary'}_" + (
                "stream" if handler.response_streaming else "unary"
            )
            call = getattr(channel, kind)(name)
            sent: Any = iter([b""]) if handler.request_streaming else b""
            try:
                answer = call(sent, metadata=metadata, timeout=1 if name.endswith("Watch") else 20)
                if handler.response_streaming:
                    next(iter(answer), None)
                word = "in"
            except grpc.RpcError as error:
                words = {"UNAUTHENTICATED": "unauthenticated", "PERMISSION_DENIED": "forbidden"}
                word = words.get(error.code().name, "in")
            found[name], right[name] = word, verdict(name, role)
    assert found == right


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("path", ["/", "/health/live", "/v2/models"])
def test_websocket(flow: Flow, keys: dict[str, str], role: str, path: str) -> None:
    """A WebSocket asks for `infer`, whatever path it names."""
    status = 101
    try:
        with connect(f"ws://127.0.0.1:{flow.ports['websocket']}{path}", additional_headers=bearer(keys, role)):
            pass
    except InvalidStatus as error:
        status = error.response.status_code
    assert status == {"in": 101, "unauthenticated": 401, "forbidden": 403}[verdict("websocket", role)]


@pytest.mark.parametrize("role", ROLES)
def test_page_of_figures(flow: Flow, keys: dict[str, str], role: str) -> None:
    connection = HTTPConnection("127.0.0.1", flow.metrics_port or 0, timeout=20)
    connection.request("GET", "/metrics", headers=bearer(keys, role))
    status = connection.getresponse().status
    connection.close()
    assert status == {"metrics": 200, "infer": 403, "admin": 403}.get(role, 401)


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_other_ways_to_give_a_key(flow: Flow, keys: dict[str, str], header: str) -> None:
    given = {"x-api-key": keys["infer"], "authorization": f"bearer {keys['infer']}"}[header]
    assert asked(flow, "POST", "/none", {header: given})[0] == 404
    status, headers = asked(flow, "GET", "/docs", {"accept": "text/html"})
    assert (status, headers["www-authenticate"].split()[0]) == (401, "Basic")


# -- the Python client -------------------------------------------------------------------------------------------------


async def test_a_client_gives_its_key(flow: Flow, keys: dict[str, str]) -> None:
    port = flow.ports["grpc"]
    with Client(port=port, protocol="grpc", key=keys["infer"]) as client:
        assert len(client.post("/work", ["a"])) == 1
    async with AsyncClient(port=port, protocol="grpc", key=keys["infer"]) as client:
        assert len(await client.post("/work", ["a"])) == 1
    for role, error in (("wrong", Unauthenticated), ("metrics", Forbidden)):
        with pytest.raises(error), Client(port=port, protocol="grpc", key=keys[role]) as client:
            client.post("/work", ["a"])
    assert len(flow.post("/work", ["a"])) == 1, "our own channel asks for none"


def test_who_has_had_its_share_is_told_when_to_come_again(flow: Flow, keys: dict[str, str]) -> None:
    for _ in range(20):
        status, headers = asked(flow, "POST", "/none", bearer(keys, "few"))
        if status == 429:
            break
    assert status == 429
    assert 0 < int(headers["retry-after-ms"]) <= 500
    assert headers["retry-after"] == "1"
    time.sleep(int(headers["retry-after-ms"]) / 1000)
    assert asked(flow, "POST", "/none", bearer(keys, "few"))[0] == 404
    time.sleep(1)
    with Client(port=flow.ports["grpc"], protocol="grpc", key=keys["few"], request_size=1) as client:
        back = client.post("/work", ["a"] * 5, continue_on_error=True)
    refused = [failure.error for failure in back.failures]
    assert refused
    for error in refused:
        assert isinstance(error, RateLimited)
        assert 0 < error.retry_after_s <= 2


def test_retry_info_is_where_grpc_clients_look_for_it(flow: Flow, keys: dict[str, str]) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{flow.ports['grpc']}") as channel:
        post: Any = channel.unary_unary
        call, told = post("/dure.v1.Flow/Post"), {}
        code = None
        for _ in range(20):
            with contextlib.suppress(grpc.RpcError):
                call(b"", metadata=tuple(bearer(keys, "few").items()))
            try:
                call(b"", metadata=tuple(bearer(keys, "few").items()))
            except grpc.RpcError as error:
                metadata: Any = error.trailing_metadata()
                code, told = error.code(), dict(metadata)
                if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
                    break
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert 0 < int(told["retry-after-ms"]) <= 500
    assert b"type.googleapis.com/google.rpc.RetryInfo" in told["grpc-status-details-bin"]


# -- names and pages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "let_in"),
    [("127.0.0.1:9", True), ("localhost", True), ("[::1]:5", True), ("evil.example", False), ("localhost.evil", False)],
)
def test_a_name_that_somebody_pointed_here_is_refused(
    flow: Flow, keys: dict[str, str], host: str, let_in: bool
) -> None:
    status, _ = asked(flow, "POST", "/none", {"host": host, **bearer(keys, "infer")})
    assert status == (404 if let_in else 403)
    assert asked(flow, "GET", "/health/live", {"host": host})[0] == (200 if let_in else 403)


def test_web_pages(flow: Flow, keys: dict[str, str]) -> None:
    key = bearer(keys, "infer")
    assert asked(flow, "POST", "/none", {"origin": "https://evil.example", **key})[0] == 403
    assert asked(flow, "POST", "/none", {"origin": "null", **key})[0] == 403
    status, headers = asked(flow, "POST", "/none", {"origin": "https://shop.example", **key})
    assert (status, headers["access-control-allow-origin"]) == (404, "https://shop.example")
    ask = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    status, headers = asked(flow, "OPTIONS", "/none", {**ask, "access-control-request-headers": "authorization"})
    assert (status, headers["access-control-allow-headers"]) == (204, "authorization")
    with (
        pytest.raises(InvalidStatus, match="403"),
        connect(
            f"ws://127.0.0.1:{flow.ports['websocket']}/", additional_headers=key, origin=Origin("https://evil.example")
        ),
    ):
        pass


# -- fairness ----------------------------------------------------------------------------------------------------------


def test_who_sends_little_does_not_wait_for_who_sends_much(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    heavy, light = made(path, name="heavy"), made(path, name="light")
    flow = Flow(keys_file=str(path)).add(uses=Slow)
    settings: dict[str, Any] = {"protocol": "grpc", "request_size": 1}
    with flow, ThreadPoolExecutor() as pool, Client(port=flow.port, key=light, **settings) as few:
        few.post("/alone", ["0.02"])
        with Client(port=flow.port, key=heavy, max_in_flight=200, **settings) as many:
            flood = pool.submit(many.post, "/alone", ["0.02"] * 150)
            time.sleep(0.4)
            began = time.perf_counter()
            few.post("/alone", ["0.02"])
            waited_s = time.perf_counter() - began
            assert not flood.done(), "else it proves nothing"
            flood.result()
    assert waited_s < 0.5, "behind the whole flood it would have been 2.5 s"


# -- from start to end -------------------------------------------------------------------------------------------------


def test_a_flow_does_not_serve_everybody_by_accident(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="insecure=True"):
        Flow(host="0.0.0.0").start()
    with pytest.raises(DureError, match="dure keys add"):
        Flow(keys_file=str(tmp_path / "none.json")).start()


def test_revoking_works_while_it_runs_and_everything_is_written_down(tmp_path: Path) -> None:
    path, audit = tmp_path / "keys.json", tmp_path / "audit.jsonl"
    key = made(path, name="shop")
    with Flow(protocol=["http", "websocket"], keys_file=str(path), audit_file=str(audit)).add(uses=Slow) as flow:
        headers, body = {"authorization": f"Bearer {key}"}, '{"data": [{"text": "secret words"}, {}]}'
        assert asked(flow, "POST", "/work", headers, body)[0] == 200
        with connect(f"ws://127.0.0.1:{flow.ports['websocket']}/", additional_headers=headers) as socket:
            socket.send('{"id": 1, "endpoint": "/nowhere", "data": []}')
            socket.recv(timeout=20)
        revoke(path, "shop")
        time.sleep(1.1)
        assert asked(flow, "POST", "/work", headers, body)[0] == 401
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    told = [(line["protocol"], line["endpoint"], line["rows"], line["outcome"]) for line in lines]
    assert told == [
        ("http", "/work", 2, "ok"),
        ("websocket", "/nowhere", 0, "endpoint_not_found"),
        ("http", "/work", 0, "unauthenticated"),
    ]
    assert {line["key"] for line in lines} == {key.split("_")[1]}
    assert "secret" not in audit.read_text()
    assert key.split("_", 2)[2] not in audit.read_text()


def test_what_is_for_the_house_is_answered_inside_only(keys: dict[str, str]) -> None:
    """With `admin_port` the page, the figures and the loading of models are not to be had at public ports."""
    model = "work"
    wanted = [("metrics", "GET", "/live.json"), ("admin", "POST", f"/v2/repository/models/{model}/load")]
    wanted += [("nobody", "GET", "/"), ("infer", "GET", "/openapi.json")]
    with Flow(protocol=["http", "grpc"], admin_port=0, keys_file=keys["file"]).add(uses=Slow, name="slow") as flow:
        found = {
            door: [asked(flow, method, path, bearer(keys, role), door=door)[0] for role, method, path in wanted]
            for door in ("http", "admin")
        }
        assert found == {"http": [403, 403, 405, 200], "admin": [200, 200, 200, 200]}
        assert asked(flow, "GET", "/live.json", {}, door="admin")[0] == 401, "a key is asked for inside, too"
        with grpc.insecure_channel(f"127.0.0.1:{flow.ports['grpc']}") as channel:
            load: Any = channel.unary_unary("/inference.GRPCInferenceService/RepositoryModelLoad", None, None)
            with pytest.raises(grpc.RpcError) as caught:
                load(b"", metadata=(("authorization", f"Bearer {keys['admin']}"),), timeout=5)
            assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
