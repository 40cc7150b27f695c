"""One `post`: which requests are under way, what has come back, and what may be delivered now.

No IO and no clock: the synchronous and the asynchronous client drive the same object, over either channel, so that
order, limits and errors are the same everywhere.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from dure.client.results import Failure, Results
from dure.document import plain
from dure.document.array import DocumentArray
from dure.errors import DureError, ValidationError
from dure.served import Served
from dure.spec import ClientSpec


class Incoming(Struct, frozen=True):
    """What a channel received for a request: a part of its answer, its answer, or its error."""

    number: int
    documents: DocumentArray | None = None
    error: DureError | None = None
    results: dict[str, bytes] = {}
    served: dict[str, Served] = {}
    final: bool = True


class Delivery(Struct, frozen=True):
    """What is ready for the caller: documents or a failure. `final` closes a request.

    `results` is None where everything has been said in parts.
    """

    results: Results | None
    failure: Failure | None
    final: bool


class _Pending(Struct):
    start: int
    documents: DocumentArray
    nbytes: int
    in_parts: bool = False


class Exchange:
    """State of one `post`.

    Args:
        spec: Limits.
        in_order: Deliver in the order the requests were sent in.
    """

    def __init__(self, spec: ClientSpec, *, in_order: bool) -> None:
        self._spec = spec
        self._in_order = in_order
        self._pending: dict[int, _Pending] = {}
        self._ready: list[Delivery] = []
        self._held: dict[int, list[Delivery]] = {}
        self._head = 0
        self._last = -1
        self._num_documents = 0
        self._in_flight_bytes = 0

    @property
    def in_flight(self) -> int:
        """Number of requests sent and not answered."""
        return len(self._pending)

    @property
    def may_send(self) -> bool:
        """Whether another request fits; the first one always does."""
        spec = self._spec
        return not self._pending or (
            len(self._pending) + len(self._held) < spec.max_in_flight
            and self._in_flight_bytes < spec.max_in_flight_bytes
        )

    def next_number(self) -> int:
        """Return the number of the next request."""
        return self._last + 1

    def sent(self, documents: DocumentArray, nbytes: int) -> None:
        """Note that the next request has been sent, and its size."""
        self._last += 1
        self._pending[self._last] = _Pending(self._num_documents, documents, nbytes)
        self._num_documents += len(documents)
        self._in_flight_bytes += nbytes

    def refuse(self, documents: DocumentArray, error: DureError) -> None:
        """Note that the next request could not be sent; it fails alone."""
        number = self.next_number()
        self.sent(documents, 0)
        self.accept(Incoming(number, error=error))

    def accept(self, incoming: Incoming) -> None:
        """Take in what a channel received."""
        pending = self._pending.get(incoming.number)
        if pending is None:
            return
        failure = None
        if incoming.error is not None:
            failure = Failure(pending.start, pending.documents, incoming.error)
        results: Results | None = Results.of(incoming.documents or DocumentArray(), _parameters(incoming.results))
        if incoming.served and results is not None:
            results.served = [incoming.served]
        said = incoming.documents or incoming.results or incoming.served
        if pending.in_parts and incoming.final and not said and failure is None:
            results = None
        pending.in_parts = not incoming.final
        if incoming.final:
            del self._pending[incoming.number]
            self._in_flight_bytes -= pending.nbytes
        delivery = Delivery(results, failure, incoming.final)
        if not self._in_order or incoming.number == self._head:
            self._ready.append(delivery)
            if self._in_order and incoming.final:
                self._advance()
        else:
            self._held.setdefault(incoming.number, []).append(delivery)

    def _advance(self) -> None:
        self._head += 1
        while (held := self._held.pop(self._head, None)) is not None:
            self._ready.extend(held)
            if not held[-1].final:
                return
            self._head += 1

    def ready(self) -> Iterator[Delivery]:
        """Yield what may be delivered now."""
        ready, self._ready = self._ready, []
        return iter(ready)


def _parameters(results: dict[str, bytes]) -> dict[str, Any] | None:
    if not results:
        return None
    return {"__results__": {name: msgspec.msgpack.decode(data) for name, data in results.items()}}


def encode_parameters(parameters: dict[str, Any] | None) -> bytes:
    """Return parameters as msgpack; nothing for none.

    Raises:
        ValidationError: Not a dict, or a value that cannot travel.
    """
    if parameters is not None and not isinstance(parameters, dict):
        raise ValidationError(f"parameters must be a dict, not {type(parameters).__name__}")
    if not parameters:
        return b""
    plain.check(parameters, "parameters")
    try:
        return msgspec.msgpack.encode(parameters, enc_hook=plain.encode_hook)
    except (TypeError, OverflowError, ValueError) as error:
        raise ValidationError(f"parameters cannot be sent: {error}") from error
