"""One way to call a Flow through each of its public doors: documents in as plain values, documents or an error out."""

import http.client
import json
from typing import Any, NamedTuple

from websockets.sync.client import connect

from dure import Client, Document, Flow
from dure.errors import DureError

DOORS = ("grpc", "http", "websocket")


class Said(NamedTuple):
    """What came back: documents as plain values and what methods returned as dicts, or the error's words."""

    docs: list[dict[str, Any]]
    results: dict[str, Any]
    error: dict[str, Any] | None = None


def call(door: str, flow: Flow, endpoint: str, data: list[Any], **settings: Any) -> Said:
    """Send one request; `settings` may be `parameters`, `timeout_s` and `priority`."""
    return {"grpc": _by_grpc, "http": _by_http, "websocket": _by_websocket}[door](flow, endpoint, data, settings)


def post(port: int, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """Post over HTTP; return the status, the headers with names in lower case, and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, data, headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def _by_grpc(flow: Flow, endpoint: str, data: list[Any], settings: dict[str, Any]) -> Said:
    inputs = [Document(row) if isinstance(row, str) else Document.from_dict(row) for row in data]
    with Client(port=flow.ports["grpc"], protocol="grpc", request_size=1000) as client:
        try:
            back = client.post(endpoint, inputs, **settings)
        except DureError as error:
            return Said([], {}, {"code": error.code, "message": str(error.args[0])})
        results = back.parameters.get("__results__", {})
        return Said([json.loads(document.to_json()) for document in back], results)


def _by_http(flow: Flow, endpoint: str, data: list[Any], settings: dict[str, Any]) -> Said:
    status, _, body = post(flow.ports["http"], endpoint, {"data": data, **settings})
    return _said(json.loads(body), failed=status != 200)


def _by_websocket(flow: Flow, endpoint: str, data: list[Any], settings: dict[str, Any]) -> Said:
    with connect(f"ws://127.0.0.1:{flow.ports['websocket']}/", max_size=None) as socket:
        socket.send(json.dumps({"id": 1, "endpoint": endpoint, "data": data, **settings}))
        answer = json.loads(socket.recv(timeout=20))
        assert answer["id"] == 1
        return _said(answer, failed="error" in answer)


def _said(answer: dict[str, Any], *, failed: bool) -> Said:
    if failed:
        error = answer["error"]
        return Said([], {}, {"code": error["code"], "message": error["message"]})
    return Said(answer["data"], answer.get("results", {}))
