"""Requests and answers as JSON: what HTTP bodies and the text frames of WebSockets hold.

Documents in them stay bytes. Knows nothing of connections.
"""

from collections.abc import Callable
from math import inf
from typing import Any

import msgspec

from dure.errors import DecodeError, RequestError, ValidationError
from dure.gateway.http_exchange import to_json
from dure.gateway.json_depth import check_depth
from dure.gateway.router import Outcome


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client posts to an endpoint."""

    data: list[msgspec.Raw] = []
    parameters: dict[str, Any] = {}
    timeout_s: float = 0.0
    priority: int = 0
    explain: bool = False

    @property
    def checked_timeout_s(self) -> float:
        """How long an answer is of use; 0 for ever.

        Raises:
            ValidationError: Neither a positive number nor 0.
        """
        if not 0 <= self.timeout_s < inf:
            raise ValidationError(f"timeout_s must be a number of seconds, not {self.timeout_s}")
        return self.timeout_s


class NamedBody(Body, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same, to any endpoint."""

    endpoint: str


def answer_pieces(outcome: Outcome, *, explain: bool) -> list[bytes]:
    """Return the JSON of an answer, in pieces."""
    pieces = [b'{"data":', bytes(outcome.payload)]
    if outcome.results:
        results = {name: msgspec.msgpack.decode(data) for name, data in outcome.results.items()}
        pieces += [b',"results":', to_json(results)]
    if explain:
        pieces += [
            b',"served":',
            to_json({name: msgspec.structs.asdict(served) for name, served in outcome.served.items()}),
        ]
    return [*pieces, b"}"]


def packed(parameters: dict[str, Any]) -> bytes:
    """Return parameters as they travel to a worker.

    Raises:
        DecodeError: A whole number of more than 64 bits.
    """
    try:
        return msgspec.msgpack.encode(parameters) if parameters else b""
    except OverflowError as error:
        raise DecodeError(f"parameters: {error}") from error


def parsed(read: Callable[[bytes | str], Any], body: bytes | str) -> Any:
    """Read a body, or a message.

    Raises:
        RequestError: JSON of another kind.
        DecodeError: Not JSON.
    """
    check_depth(body)
    try:
        return read(body)
    except msgspec.ValidationError as error:
        raise RequestError(
            f'the body must be like {{"data": [{{"text": "…"}}], "parameters": {{}}}}: {error}'
        ) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DecodeError(f"the body is not JSON: {error}") from error
