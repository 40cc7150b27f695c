"""The HTTP door's routes: an endpoint of the Flow per path, and health. An ASGI application.

    POST /encode   {"data": [{"text": "many hands"}], "parameters": {}}   ->   {"data": [{"id": …, "embedding": […]}]}

The documents in a body stay bytes and are decoded by the worker, which also writes those of the answer. Knows nothing
of sockets.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec

from dure.document.forms import JSON as JSON_FORM
from dure.errors import DureError, EndpointNotFound
from dure.gateway.docs_page import DocsPage
from dure.gateway.http_call import outcome_of, timeout_of
from dure.gateway.http_events import EVENTS, Events
from dure.gateway.http_exchange import Exchange, error_body, error_headers, to_json
from dure.gateway.http_json import Body, NamedBody, answer_pieces, packed, parsed
from dure.gateway.http_upload import body_of
from dure.gateway.live_page import LivePage
from dure.gateway.open_inference import OpenInference
from dure.gateway.openai import OpenAi
from dure.gateway.router import Request, Router
from dure.gateway.websocket import WebSockets
from dure.log import get_logger
from dure.spec import GatewaySpec

Route: TypeAlias = Callable[[Exchange], Awaitable[None]]

_JSON_KINDS = (b"application/json", b"")  # what most say


class HttpApp:
    """Answers HTTP requests.

    Args:
        router: Where requests go.
        spec: Limits.

    Attributes:
        sockets: Clients connected by WebSocket.
    """

    def __init__(self, router: Router, spec: GatewaySpec) -> None:
        self._router = router
        self._spec = spec
        self._read = msgspec.json.Decoder(Body).decode
        self._read_named = msgspec.json.Decoder(NamedBody).decode
        page, live = DocsPage(router), LivePage(router)
        self._fixed: dict[tuple[str, str], Route] = {
            ("GET", "/health/live"): self._live,
            ("GET", "/health/ready"): self._ready,
            ("POST", "/post"): self._post_named,
            ("GET", "/openapi.json"): page.describe,
            **({("GET", "/"): live.serve, ("GET", "/live.json"): live.figures} if spec.page else {}),
        }
        self._methods = {path: method for method, path in self._fixed if path != "/"}
        """Paths that are no endpoints -> how they are asked for."""
        self._families: dict[str, Route] = {
            "docs": page.serve,
            "page": live.serve,
            "v1": OpenAi(router, spec).serve,
            "v2": OpenInference(router, spec).serve,
        }
        """First segment of a path -> who answers everything below it."""
        self.sockets = WebSockets(router, spec)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request, or serve one WebSocket."""
        if scope["type"] == "websocket":
            await self.sockets.serve(receive, send)
            return
        exchange = Exchange(scope, receive, send)
        try:
            await self._route(exchange)(exchange)
        except DureError as error:
            await self._fail(exchange, error)
        except Exception:  # noqa: BLE001 - a fault of ours must not show its inside to strangers
            get_logger("gateway").exception("%s %s failed", exchange.method, exchange.path)
            await self._fail(exchange, DureError("the service failed; what happened is in its log"))

    def _route(self, exchange: Exchange) -> Route:
        if "http" not in self._spec.protocol and not exchange.path.startswith("/health/"):
            raise EndpointNotFound("this Flow is called by WebSocket here, not by HTTP (protocol)")
        family = self._families.get(exchange.path[1:].partition("/")[0]) if self._families else None
        return family or self._fixed.get((exchange.method, exchange.path)) or self._post

    async def _fail(self, exchange: Exchange, error: DureError) -> None:
        if not exchange.started:
            body = to_json({"error": error_body(error)})
            await exchange.answer(body, status=error.http_status, headers=error_headers(error))

    async def _live(self, exchange: Exchange) -> None:
        await exchange.answer(b'{"live":true}')

    async def _ready(self, exchange: Exchange) -> None:
        ready = self._router.available
        await exchange.answer(to_json({"ready": ready}), status=200 if ready else 503)

    async def _post(self, exchange: Exchange) -> None:
        method = self._methods.get(exchange.path, "POST")
        if exchange.method != method:
            headers = [(b"allow", method.encode())]
            error = {"code": "method_not_allowed", "message": f"{exchange.path} is called with {method}"}
            await exchange.answer(to_json({"error": error}), status=405, headers=headers)
            return
        data = await exchange.body(self._spec.max_request_bytes)
        kind = exchange.headers.get(b"content-type", b"")
        body = None if kind in _JSON_KINDS else body_of(data, kind)
        await self._call(exchange, exchange.path, body or parsed(self._read, data))

    async def _post_named(self, exchange: Exchange) -> None:
        body: NamedBody = parsed(self._read_named, await exchange.body(self._spec.max_request_bytes))
        await self._call(exchange, body.endpoint, body)

    async def _call(self, exchange: Exchange, endpoint: str, body: Body) -> None:
        payload = b"[" + b",".join(body.data) + b"]"
        request = Request(
            endpoint,
            packed(body.parameters),
            JSON_FORM,
            len(body.data),
            payload,
            priority=body.priority,
            timeout_s=timeout_of(exchange, body.checked_timeout_s),
        )
        if EVENTS in exchange.headers.get(b"accept", b""):
            await Events(exchange, explain=body.explain).send(self._router, request)
            return
        outcome = await outcome_of(self._router, request, exchange)
        await exchange.answer(b"".join(answer_pieces(outcome, explain=body.explain)))
