"""The Open Inference Protocol over HTTP: what stands below `/v2`, with Triton's extensions that make sense here.

Knows routes and methods. The documents in requests and answers stay bytes. What shares memory with the server, or
changes it from outside, is refused.
"""

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from dure.errors import DecodeError, DureError, EndpointNotFound
from dure.gateway.http_call import outcome_of, timeout_of
from dure.gateway.http_exchange import JSON, Exchange, Headers, error_body, error_headers, to_json
from dure.gateway.oip_body import HEAD_LENGTH, read, write
from dure.gateway.oip_call import request_of
from dure.gateway.oip_models import Models, Unsupported
from dure.gateway.router import Router
from dure.spec import GatewaySpec

Look: TypeAlias = Callable[[str, str], Any]

_BINARY = b"application/octet-stream"
_MODEL = re.compile(r"models/(.+?)(?:/versions/(\d+))?(?:/(ready|config|stats|infer))?")
_CHANGE = re.compile(r"repository/models/(.+)/(load|unload)")
_UNSUPPORTED = re.compile(
    r"(?:systemsharedmemory|cudasharedmemory|trace|logging)(?:/.*)?|models/.+/(?:trace/setting|generate|generate_stream)"
)


class OpenInference:
    """Answers everything below `/v2`.

    Args:
        router: Where requests go.
        spec: Limits.
    """

    def __init__(self, router: Router, spec: GatewaySpec) -> None:
        self._router = router
        self._spec = spec
        self._models = models = Models(router)
        self._looks: dict[str, Look] = {
            "": models.metadata,
            "config": models.config,
            "stats": lambda name, version: {"model_stats": models.statistics(name, version)},
        }

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request."""
        # Triton's clients read what is compressed where they asked for it themselves, not where their library did.
        exchange.takes_lists = False
        try:
            await self._serve(exchange, exchange.path.removeprefix("/v2").strip("/"))
        except DureError as error:
            body = to_json({"error": error_body(error)["message"]})
            await exchange.answer(body, status=error.http_status, headers=error_headers(error))

    async def _serve(self, exchange: Exchange, path: str) -> None:
        if "http" not in self._spec.protocol:
            raise EndpointNotFound("this Flow is called by WebSocket here, not by HTTP (protocol)")
        if _UNSUPPORTED.fullmatch(path):
            raise Unsupported(f"{exchange.path}: this part of the protocol is not offered here")
        if path == "":
            await self._tell(exchange, "GET", self._models.server)
        elif path == "health/live":
            await self._tell_whether(exchange, lambda: True)
        elif path == "health/ready":
            await self._tell_whether(exchange, lambda: self._models.is_ready)
        elif path == "models/stats":
            await self._tell(exchange, "GET", lambda: {"model_stats": self._models.statistics()})
        elif path == "repository/index":
            asked = await self._body(exchange)
            await self._tell(exchange, "POST", lambda: self._models.index(ready_only=asked.get("ready") is True))
        elif change := _CHANGE.fullmatch(path):
            await self._change(exchange, *change.groups())
        elif model := _MODEL.fullmatch(path):
            await self._serve_model(exchange, *model.groups(default=""))
        else:
            await _fail(exchange, 404, f"{exchange.path}: the protocol has no such path")

    async def _serve_model(self, exchange: Exchange, name: str, version: str, action: str) -> None:
        if action == "infer":
            if await _is_method(exchange, "POST"):
                await self._infer(exchange, name, version)
        elif action == "ready":
            await self._tell_whether(exchange, lambda: self._models.is_model_ready(name, version))
        else:
            await self._tell(exchange, "GET", lambda: self._looks[action](name, version))

    async def _infer(self, exchange: Exchange, name: str, version: str) -> None:
        endpoint = self._models.endpoint(name, version)
        infer = read(await exchange.body(self._spec.max_request_bytes), exchange.headers.get(HEAD_LENGTH))
        request, rendering = request_of(endpoint, infer)
        request.timeout_s = timeout_of(exchange, request.timeout_s)
        outcome = await outcome_of(self._router, request, exchange)
        body, head_length = write(name, infer, outcome, rendering)
        headers = [] if head_length is None else [(HEAD_LENGTH, str(head_length).encode())]
        await exchange.answer(body, content_type=JSON if head_length is None else _BINARY, headers=headers)

    async def _change(self, exchange: Exchange, name: str, action: str) -> None:
        if not await _is_method(exchange, "POST"):
            return
        asked = await self._body(exchange)
        if action == "unload":
            self._models.unload(name)
        self._models.load(name, changed=bool(asked.get("parameters")))
        await exchange.answer(b"")

    async def _tell(self, exchange: Exchange, method: str, look: Callable[[], Any]) -> None:
        if await _is_method(exchange, method):
            await exchange.answer(to_json(look()))

    async def _tell_whether(self, exchange: Exchange, look: Callable[[], bool]) -> None:
        if await _is_method(exchange, "GET"):
            await exchange.answer(b"", status=200 if look() else 503)

    async def _body(self, exchange: Exchange) -> dict[str, Any]:
        """Return the object that was sent; nothing is an empty one."""
        body = await exchange.body(self._spec.max_request_bytes)
        try:
            return msgspec.json.decode(body, type=dict[str, Any]) if body.strip() else {}
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise DecodeError(f"the body must be a JSON object: {error}") from error


async def _is_method(exchange: Exchange, method: str) -> bool:
    if exchange.method == method:
        return True
    await _fail(exchange, 405, f"{exchange.path} is asked for with {method}", [(b"allow", method.encode())])
    return False


async def _fail(exchange: Exchange, status: int, message: str, headers: Headers = ()) -> None:
    await exchange.answer(to_json({"error": message}), status=status, headers=headers)
