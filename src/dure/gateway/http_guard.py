"""The guard before the HTTP door: host, origin, key and limits, before a path is looked at. An ASGI application.

Serves WebSockets as well, which begin as an HTTP request. Knows no routes but by what they ask for.
"""

import base64
import binascii
from typing import Any

from dure.errors import DureError, Unauthenticated
from dure.gateway import rules
from dure.gateway.guard import Guard
from dure.gateway.http_exchange import JSON, error_body, error_headers, to_json
from dure.gateway.keys import Scope
from dure.gateway.origins import Origins
from dure.gateway.visit import VISIT, Arrival
from dure.spec import GatewaySpec

_MAX_UNREAD_BYTES = 65_536
_METHODS = b"GET, POST, OPTIONS"
_EXPOSED = b"retry-after, retry-after-ms"
_PREFLIGHT_S = b"600"
_POLICY_VIOLATION = 1008


class HttpGuard:
    """Lets requests through to an application.

    Args:
        app: Who answers them.
        guard: Who is let in.
        spec: Hosts and origins.
        inside: Whether it is no public door.
    """

    def __init__(self, app: Any, guard: Guard, spec: GatewaySpec, *, inside: bool) -> None:
        self._app = app
        self._guard = guard
        self._origins = Origins(spec)
        self._inside = inside

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Let one request, or one WebSocket, through or refuse it."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        is_socket = scope["type"] == "websocket"
        method = "GET" if is_socket else scope["method"]
        client = scope["client"]
        address = client[0] if client else ""
        arrival = Arrival(scope["type"], scope["path"], address, _key_of(headers), is_socket, self._inside)
        try:
            origin = self._origins.check(headers)
        except DureError as error:
            self._guard.refuse(arrival, error)
            await _refuse(scope, receive, send, error)
            return
        try:
            if origin is not None and not is_socket:
                send = _with_cors(send, origin)
                if method == "OPTIONS" and b"access-control-request-method" in headers:
                    await _answer_preflight(headers, send)
                    return
            # A route that only this kind of door has is not one that needs no key over the other.
            visit = self._guard.admit(Scope.INFER if is_socket else rules.of_http(method, scope["path"]), arrival)
        except DureError as error:
            await _refuse(scope, receive, send, error)
            return
        VISIT.set(visit)
        status = None
        if visit.watches and not is_socket:
            send = status = _Status(send)
        try:
            await self._app(scope, receive, send)
        finally:
            visit.release("ok" if status is None else status.outcome)


class _Status:
    """Passes an answer on, and remembers what it was."""

    def __init__(self, send: Any) -> None:
        self._send = send
        self.outcome = "ok"

    async def __call__(self, message: dict[str, Any]) -> None:
        status = message.get("status", 200)
        if status >= 400:
            self.outcome = f"http_{status}"
        await self._send(message)


def _key_of(headers: dict[bytes, bytes]) -> bytes | None:
    """Return the API key of a request: bearer, `x-api-key`, or what a browser asked its user for."""
    given = headers.get(b"authorization")
    if given is None:
        return headers.get(b"x-api-key")
    if given.startswith(b"Bearer "):
        return given[7:]
    kind, _, value = given.partition(b" ")
    if kind.lower() != b"basic":
        return value.strip() if kind.lower() == b"bearer" else given
    try:
        return base64.b64decode(value, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


def _with_cors(send: Any, origin: bytes) -> Any:
    fields = [(b"access-control-allow-origin", origin), (b"vary", b"origin")]
    fields.append((b"access-control-expose-headers", _EXPOSED))

    async def with_cors(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *fields]}
        await send(message)

    return with_cors


async def _answer_preflight(headers: dict[bytes, bytes], send: Any) -> None:
    fields = [
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", headers.get(b"access-control-request-headers", b"authorization")),
        (b"access-control-max-age", _PREFLIGHT_S),
        (b"content-length", b"0"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": fields})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(scope: dict[str, Any], receive: Any, send: Any, error: DureError) -> None:
    told: Any = error_body(error)
    path: str = scope["path"]
    if path.startswith("/v2/"):
        told = told["message"]  # as the Open Inference Protocol has it
    elif path.startswith("/v1/"):
        told = {"message": told["message"], "type": told["code"], "param": None, "code": told["code"]}  # as OpenAI
    body = to_json({"error": told})
    headers = dict(scope["headers"])
    fields = [(b"content-type", JSON), (b"content-length", str(len(body)).encode()), *error_headers(error)]
    if isinstance(error, Unauthenticated):
        asks_person = b"text/html" in headers.get(b"accept", b"")
        fields.append((b"www-authenticate", b'Basic realm="API key"' if asks_person else b"Bearer"))
    prefix = "http"
    if scope["type"] == "websocket":
        await receive()
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": error.code})
            return
        prefix = "websocket.http"
    elif _has_large_body(headers):
        fields.append((b"connection", b"close"))  # rather than read it to its end
    await send({"type": f"{prefix}.response.start", "status": error.http_status, "headers": fields})
    await send({"type": f"{prefix}.response.body", "body": body})


def _has_large_body(headers: dict[bytes, bytes]) -> bool:
    length = headers.get(b"content-length", b"0")
    return b"transfer-encoding" in headers or (length.isdigit() and int(length) > _MAX_UNREAD_BYTES)
