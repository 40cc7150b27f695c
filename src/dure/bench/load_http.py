"""Requests over HTTP: bodies that were made before, answers that are read to their end.

Knows aiohttp, which is an extra; does not know when requests are sent.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from dure.bench.load import Refusal
from dure.bench.load_body import filled, inference, text_input
from dure.bench.load_target import Target
from dure.deps import require
from dure.errors import ConnectionLost, RequestError

_IDLE_S = 4.0  # uvicorn closes a connection after 5 s, and a request that is then on its way is lost
_TOLD = 200  # characters of an answer that is an error

Check = Callable[[bytes], str]
"""Says what is wrong with the body of an answer; nothing where it is right."""


class HttpSender:
    """Posts bodies to one address; a connection for each request that is under way, kept for the next.

    Args:
        url: Where to.
        bodies: JSON; they come round again.
        check: Looks at each answer.
    """

    def __init__(self, url: str, bodies: Sequence[bytes], check: Check = lambda _: "") -> None:
        self._url = url
        self._bodies = bodies
        self._check = check
        self._aiohttp = require("aiohttp", "bench")
        self._session = _session(self._aiohttp)

    async def send(self, number: int) -> Refusal | None:
        """Post the n-th body; any status but 2xx is a failure."""
        errors = self._aiohttp
        try:
            async with self._session.post(self._url, data=self._bodies[number % len(self._bodies)]) as answer:
                body = await answer.read()
                status = answer.status
        except errors.ClientConnectorError as error:
            return Refusal("cannot_connect", str(error))
        except (errors.ClientConnectionError, errors.ClientPayloadError) as error:
            return Refusal("connection_lost", str(error) or type(error).__name__)
        except errors.ClientError as error:
            return Refusal("bad_answer", f"{type(error).__name__}: {error}")
        if not 200 <= status < 300:
            return Refusal(f"http_{status}", f"HTTP {status}: {body[:_TOLD].decode(errors='replace')}")
        wrong = self._check(body)
        return Refusal("bad_answer", wrong) if wrong else None

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


async def inference_sender(target: Target, requests: Sequence[Sequence[str]]) -> HttpSender:
    """Return what speaks to a model of the Open Inference Protocol, once its metadata has said what it takes.

    Args:
        target: `oip+http://host:port/model`, also `…/model/versions/2`.
        requests: The texts of each request.

    Raises:
        ConnectionLost: Nobody answers there.
        RequestError: There is no such model.
        SpecError: It does not take texts.
    """
    scheme, _, rest = target.address.removeprefix("oip+").partition("://")
    place, _, model = rest.partition("/")
    url = f"{scheme}://{place}/v2/models/{model.strip('/')}"
    name, dimensions = text_input(await _got(url), url)
    bodies = [inference(name, texts, dimensions) for texts in requests]
    return HttpSender(f"{url}/infer", bodies, lambda body: _wrong_rows(body, len(requests[0])))


def template_sender(target: Target, template: str, requests: Sequence[Sequence[str]]) -> HttpSender:
    """Return what posts texts in a template; see `dure.bench.load_body.filled`.

    Raises:
        SpecError: The template has no place for them.
    """
    return HttpSender(target.address, [filled(template, texts) for texts in requests])


class _Output(msgspec.Struct):
    shape: list[int]


class _Answer(msgspec.Struct):
    outputs: list[_Output]


_ANSWERS = msgspec.json.Decoder(_Answer)


def _wrong_rows(body: bytes, num_rows: int) -> str:
    try:
        outputs = _ANSWERS.decode(body).outputs
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"no answer of the Open Inference Protocol: {error}"
    shapes = [output.shape for output in outputs]
    if not shapes or any(shape[:1] != [num_rows] for shape in shapes):
        return f"{num_rows} texts were sent; the outputs have the shapes {json.dumps(shapes)}"
    return ""


async def _got(url: str) -> bytes:
    errors = require("aiohttp", "bench")
    async with _session(errors) as session:
        try:
            async with session.get(url) as answer:
                body = cast("bytes", await answer.read())
        except errors.ClientError as error:
            raise ConnectionLost(f"{url} does not answer: {error}") from error
    if answer.status != 200:
        told = body[:_TOLD].decode(errors="replace")
        raise RequestError(f"{url} answers {answer.status}: {told}. Is the model's name right?")
    return body


def _session(aiohttp: Any) -> Any:
    return aiohttp.ClientSession(
        # How many connections there may be, and for how long, is decided by those who send.
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        headers={"Content-Type": "application/json"},
        auto_decompress=False,
        trust_env=False,
    )
