"""The user's own FastAPI app beside a Flow: mounted, guarded, begun and ended; and what happens when it fails."""

import http.client
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from dure import DocumentArray, Executor, Flow, requests
from dure.errors import SpecError, StartFailed
from dure.gateway.keys import Key, Scope, add
from tests.e2e.doors import post

pytest.importorskip("fastapi", reason="fastapi is not installed")

SHOP = """
import contextlib
import pathlib

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse

HERE = pathlib.Path(__file__).parent


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"shelves": 3}
    (HERE / "closed").write_text("in order")


app = FastAPI(lifespan=lifespan)


@app.get("/")
def index():
    return "welcome"


@app.put("/items/{name}")
async def item(name: str, request: Request):
    size = len(await request.body())
    return {"name": name, "size": size, "shelves": request.state.shelves, "client": request.client.host}


@app.get("/link")
def link(request: Request):
    return {"url": str(request.url_for("item", name="a")), "root": request.scope["root_path"]}


@app.get("/fail")
def fail():
    raise ValueError("the safe's number is 1234")


@app.get("/count")
def count():
    async def numbers():
        for i in range(3):
            yield f"{i} "
    return StreamingResponse(numbers(), media_type="text/plain")


@app.get("/half")
def half():
    async def numbers():
        yield "begun"
        raise ValueError("the safe's number is 1234")
    return StreamingResponse(numbers(), media_type="text/plain")


@app.websocket("/talk")
async def talk(socket: WebSocket):
    await socket.accept()
    async for text in socket.iter_text():
        if text == "fail":
            raise ValueError("the safe's number is 1234")
        await socket.send_text(text.upper())


async def plain(scope, receive, send):
    assert scope["type"] == "http", "no lifespan here"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


@contextlib.asynccontextmanager
async def no_database(app):
    raise LookupError("there is no database")
    yield


broken = FastAPI(lifespan=no_database)
number = 7
"""


class Desk(Executor):
    @requests(on="/upper")
    def upper(self, docs: DocumentArray, **kwargs: Any) -> None:
        docs.texts = [text.upper() for text in docs.texts]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop_app.py").write_text(SHOP)
    (folder / "shop_typo.py").write_text("import no_such_module_there")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def flow(shop: Path) -> Iterator[Flow]:
    apps = {"/shop": "shop_app:app", "/shop/plain": "shop_app:plain"}
    with Flow(protocol="http", apps=apps).add(uses=Desk, timeout_ready_s=20) as running:
        yield running


def made(path: Path, scope: Scope) -> str:
    return add(path, lambda name, salt, digest: Key(id=name, name=scope, salt=salt, hash=digest, scopes=[scope]))


def ask(
    flow: Flow, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", flow.ports["http"], timeout=20)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_it_answers_below_its_prefix_and_the_flow_everywhere_else(flow: Flow) -> None:
    assert ask(flow, "/shop/")[2] == b'"welcome"'
    assert ask(flow, "/shop")[1]["location"].endswith("/shop/")
    assert post(flow.port, "/upper", {"data": ["rice"]})[0] == 200
    assert ask(flow, "/health/ready")[0] == 200
    assert ask(flow, "/shopping")[0] == 405  # an endpoint, which is called with POST
    assert ask(flow, "/shop/plain/rice")[2] == b"/shop/plain/rice"
    assert ask(flow, "/shop/none")[::2] == (404, b'{"detail":"Not Found"}')


def test_it_sees_a_request_as_it_would_by_itself(flow: Flow) -> None:
    told = json.loads(ask(flow, "/shop/items/%EA%B5%AC", "PUT", b"x" * 300_000)[2])
    assert told == {"name": "구", "size": 300_000, "shelves": 3, "client": "127.0.0.1"}
    told = json.loads(ask(flow, "/shop/link")[2])
    assert told == {"url": f"http://127.0.0.1:{flow.port}/shop/items/a", "root": "/shop"}
    assert ask(flow, "/shop/count")[2] == b"0 1 2 "
    page = ask(flow, "/shop/docs")[2].decode()
    assert "/shop/openapi.json" in page


def test_nothing_of_its_inside_is_told(flow: Flow) -> None:
    status, _, body = ask(flow, "/shop/fail")
    assert status == 500
    assert b"1234" not in body
    assert b"ValueError" not in body
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(flow, "/shop/half")
    assert caught.value.partial == b"begun"
    assert ask(flow, "/shop/")[0] == 200


def test_an_app_without_a_framework_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bare_app.py").write_text("async def app(scope, receive, send):\n    raise ValueError('1234')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with Flow(protocol="http", apps={"/bare": "bare_app:app"}) as flow:
        status, headers, body = ask(flow, "/bare/x")
        assert (status, headers["content-type"]) == (500, "application/json")
        assert json.loads(body)["error"]["code"] == "internal"
        assert b"1234" not in body


def test_a_websocket(flow: Flow) -> None:
    with connect(f"ws://127.0.0.1:{flow.port}/shop/talk") as socket:
        socket.send("rice")
        assert socket.recv(timeout=10) == "RICE"
        socket.send("fail")
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=10)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1011, "")
    # The Flow itself was not to speak it.
    with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{flow.port}/"):
        pass


def test_it_is_behind_the_same_guard(shop: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    good, poor = made(keys, Scope.INFER), made(keys, Scope.METRICS)
    with Flow(protocol="http", apps={"/shop": "shop_app:app"}, keys_file=str(keys)) as flow:
        assert ask(flow, "/shop/")[0] == 401
        assert ask(flow, "/shop/", X_API_Key=poor)[0] == 403
        assert ask(flow, "/shop/", X_API_Key=good)[0] == 200
        assert ask(flow, "/shop/", X_API_Key=good, Host="evil.example")[0] == 403
        assert ask(flow, "/shop/", X_API_Key=good, Origin="http://evil.example")[0] == 403
        with pytest.raises(InvalidStatus) as caught, connect(f"ws://127.0.0.1:{flow.port}/shop/talk"):
            pass
        assert caught.value.response.status_code == 401
        with connect(f"ws://127.0.0.1:{flow.port}/shop/talk", additional_headers={"X-API-Key": good}) as socket:
            socket.send("rice")
            assert socket.recv(timeout=10) == "RICE"


def test_it_ends_with_the_flow_and_lets_its_sockets_go(shop: Path) -> None:
    (shop / "closed").unlink(missing_ok=True)
    flow = Flow(protocol=["http", "websocket"], apps={"/shop": "shop_app:app"}).start()
    try:
        with connect(f"ws://127.0.0.1:{flow.port}/shop/talk") as socket:
            socket.send("rice")
            assert socket.recv(timeout=10) == "RICE"
            began = time.monotonic()
            flow.close()
            assert time.monotonic() - began < 5
            with pytest.raises(ConnectionClosed) as caught:
                socket.recv(timeout=10)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1001
    finally:
        flow.close()
    assert (shop / "closed").read_text() == "in order"


@pytest.mark.parametrize(
    ("apps", "cause", "words"),
    [
        ({"/shop": "shop_app:broken"}, LookupError, "there is no database"),
        ({"/shop": "no_such_module_here:app"}, ModuleNotFoundError, "no_such_module_here"),
        ({"/shop": "shop_typo:app"}, ModuleNotFoundError, "no_such_module_there"),
        ({"/shop": "shop_app:ap"}, AttributeError, "'ap'"),
        ({"/shop": "shop_app:number"}, type(None), "no ASGI application but int"),
        ({"/docs": "shop_app:app"}, type(None), "the Flow's own"),
        ({"/v2/models": "shop_app:app"}, type(None), "the Flow's own"),
    ],
)
def test_an_app_that_cannot_be_had_fails_the_start(shop: Path, apps: dict[str, str], cause: type, words: str) -> None:
    with pytest.raises(StartFailed, match=words) as caught:
        Flow(protocol="http", apps=apps).start()
    assert type(caught.value.__cause__) is cause


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"apps": {"shop": "shop:app"}}, "write it like '/shop'"),
        ({"apps": {"/": "shop:app"}}, "no prefix"),
        ({"apps": {"/shop/": "shop:app"}}, "no prefix"),
        ({"apps": {"/shop": "shop"}}, "module:attribute"),
        ({"apps": {"/shop": "shop:app"}, "protocol": "grpc"}, "over HTTP"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Flow(**{"protocol": "http", **settings})
