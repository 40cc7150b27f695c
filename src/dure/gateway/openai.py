"""OpenAI's embeddings, on any endpoint that sets them: what is below /v1.

    POST /v1/embeddings   {"model": "encode", "input": ["many hands"]}

A model is an endpoint without its first slash. Knows how OpenAI's clients ask and what they read.
"""

import time
from typing import Any

import msgspec

from dure.document.forms import EMBEDDINGS, EMBEDDINGS_BASE64
from dure.errors import DecodeError, DureError, EndpointNotFound, RequestError, ValidationError
from dure.executor.endpoints import DEFAULT
from dure.gateway.cost import estimated_tokens
from dure.gateway.http_call import outcome_of, timeout_of
from dure.gateway.http_exchange import Exchange, error_headers, to_json
from dure.gateway.http_json import packed
from dure.gateway.router import Request, Router
from dure.spec import GatewaySpec, suggest

_FORMS = {"float": EMBEDDINGS, "base64": EMBEDDINGS_BASE64}
_BEGAN = int(time.time())  # noqa: TID251 - a date for people, which measures nothing


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str
    input: msgspec.Raw
    encoding_format: str = "float"
    dimensions: int | None = None
    user: str | None = None


class OpenAi:
    """The routes.

    Args:
        router: Where requests go.
        spec: Limits.
    """

    def __init__(self, router: Router, spec: GatewaySpec) -> None:
        self._router = router
        self._spec = spec

    async def serve(self, exchange: Exchange) -> None:
        """Answer for what is below `/v1`."""
        try:
            await self._serve(exchange)
        except DureError as error:
            body = to_json({"error": _told(error)})
            await exchange.answer(body, status=error.http_status, headers=error_headers(error))

    async def _serve(self, exchange: Exchange) -> None:
        method, path = exchange.method, exchange.path.removeprefix("/v1")
        if (method, path) == ("POST", "/embeddings"):
            await self._embed(exchange)
        elif (method, path) == ("GET", "/models"):
            listed = {"object": "list", "data": [_model(name) for name in self._names()]}
            await exchange.answer(to_json(listed))
        elif method == "GET" and path.startswith("/models/"):
            await exchange.answer(to_json(_model(self._known(path.removeprefix("/models/")))))
        else:
            known = "POST /v1/embeddings, GET /v1/models, GET /v1/models/{model}"
            raise EndpointNotFound(f"{method} {exchange.path} is not there; {known} are")

    async def _embed(self, exchange: Exchange) -> None:
        body = _read(await exchange.body(self._spec.max_request_bytes))
        texts, rows = _texts(body.input)
        name = self._known(body.model)
        if body.dimensions is not None and not self._takes(name, "dimensions"):
            raise ValidationError(
                f"dimensions: {name} makes embeddings of one length; its parameters have no `dimensions`"
            )
        form = _FORMS.get(body.encoding_format)
        if form is None:
            raise ValidationError(f"encoding_format must be {' or '.join(_FORMS)}, not {body.encoding_format!r:.40}")
        parameters = {} if body.dimensions is None else {"dimensions": body.dimensions}
        request = Request(f"/{name}", packed(parameters), form, rows, texts, timeout_s=timeout_of(exchange, 0.0))
        outcome = await outcome_of(self._router, request, exchange)
        tokens = estimated_tokens(form, texts)
        usage = to_json({"prompt_tokens": tokens, "total_tokens": tokens})
        pieces = (b'{"object":"list","model":', to_json(body.model), b',"data":', bytes(outcome.payload))
        await exchange.answer(b"".join((*pieces, b',"usage":', usage, b"}")))

    def _names(self) -> list[str]:
        return [name.removeprefix("/") for name in self._router.endpoints() if name != DEFAULT]

    def _known(self, name: str) -> str:
        names = self._names()
        if name not in names and DEFAULT not in self._router.endpoints():
            raise EndpointNotFound(
                f"there is no model {name!r:.80}.{suggest(name, names)} There are: {', '.join(names) or 'none'}."
            )
        return name

    def _takes(self, name: str, parameter: str) -> bool:
        infos = [d.endpoints[f"/{name}"] for d in self._router.dispatchers.values() if f"/{name}" in d.endpoints]
        parts = [part for info in infos for part in info.parameters.get("components", {}).values()]
        return any(parameter in part.get("properties", {}) for part in parts)


def _read(body: bytes) -> _Body:
    try:
        return msgspec.json.decode(body, type=_Body)
    except msgspec.ValidationError as error:
        raise RequestError(f'the body must be like {{"model": "encode", "input": ["…"]}}: {error}') from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DecodeError(f"the body is not JSON: {error}") from error


def _texts(given: msgspec.Raw) -> tuple[bytes, int]:
    """Return an array of texts as JSON, and how many there are."""
    try:
        texts = msgspec.json.decode(given, type=str | list[str])
    except msgspec.ValidationError as error:
        raise ValidationError(
            "input must be a text or an array of texts; token numbers are not read here, since only the model knows"
            " whose they are"
        ) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:  # what is put off is not read before
        raise DecodeError(f"the body is not JSON: input: {error}") from error
    if isinstance(texts, str):
        return b"[" + bytes(given) + b"]", 1
    if not texts:
        raise ValidationError("input is empty")
    return bytes(given), len(texts)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _BEGAN, "owned_by": "dure"}


def _told(error: DureError) -> dict[str, Any]:
    kind = "invalid_request_error" if error.http_status < 500 else "server_error"
    message = str(error.args[0]) if error.args else type(error).__name__
    return {"message": message, "type": kind, "param": None, "code": error.code}
