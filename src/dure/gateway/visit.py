"""One client at work: who it is, what it may still send, and what it has under way.

Made by the guard when it lets somebody in; found by the router wherever in that task a request is sent on its way, so
that no door can forget to say whose it is. Knows nothing of protocols.
"""

from collections.abc import Callable
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from dure.errors import Cancelled, DecodeError, DureError, RateLimited
from dure.gateway.audit import Audit, Entry
from dure.gateway.cost import estimated_tokens
from dure.gateway.limits import Amounts, Meter

if TYPE_CHECKING:
    from dure.gateway.keys import Key

_ADMISSION: Amounts = (1, 0, 0, 0)


class Arrival(NamedTuple):
    """Who knocks at a door: from where, with which key, for what. A stream carries any number of requests.

    `inside`: at a door that is no public one.
    """

    protocol: str
    what: str
    address: str
    key: bytes | None
    is_stream: bool = False
    inside: bool = False


class Visit:
    """One call or one stream of a client.

    To be let in pays for one request, and for one at a time; what a stream sends beyond that is counted as it comes.

    Args:
        arrival: Who it is.
        key: With which key.
        meters: By what it is measured.
        audit: Where it is written down.

    Attributes:
        counts_tokens: Whether it is to be told how many tokens a request has.
        client: Whose turn it is, where several wait.
        weight: The client's share.
        max_priority: The highest that its requests may have; None if there is no bound but the common one.

    Raises:
        RateLimited: It has had its share.
    """

    __slots__ = (
        "_arrival", "_audit", "_began_at", "_key_id", "_meters", "_num_held", "_num_requests", "_num_running", "client",
        "counts_tokens", "max_priority", "weight",
    )  # fmt: skip

    def __init__(self, arrival: Arrival, key: "Key | None", meters: list[Meter], audit: Audit | None) -> None:
        self._arrival, self._meters, self._audit = arrival, meters, audit
        self.counts_tokens = bool(meters) and any(meter.counts_tokens for meter in meters)
        self._num_requests = self._num_running = self._num_held = 0
        self._began_at = 0.0
        if key is None:
            self.client, self.weight, self.max_priority = arrival.address, 1.0, None
            self._key_id = ""
        else:
            self.client, self.weight, self.max_priority = key.id, key.weight, key.max_priority
            self._key_id = key.id
        if meters or audit is not None:
            self._began_at = monotonic()
            self._hold(_ADMISSION, self._began_at, one_more=True)

    @property
    def watches(self) -> bool:
        """Whether it is to be told when a request is done with."""
        return self._audit is not None or (self._arrival.is_stream and bool(self._meters))

    def begin(self, rows: int, size: int, tokens: int = 0) -> None:
        """A request of so many documents, bytes and tokens is to be sent on its way.

        Raises:
            RateLimited: It has had its share.
        """
        if self._meters:
            self._hold(
                (1 if self._num_requests else 0, rows, size, tokens),
                monotonic(),
                one_more=self._num_running >= self._num_held,
            )
        self._num_requests += 1
        self._num_running += 1

    def end(self, request: Any, error: DureError | None, seconds: float) -> None:
        """A request is done with."""
        self._num_running -= 1
        if self._num_held > 1:
            self._num_held -= 1
            for meter in self._meters:
                meter.leave(1, seconds)
        if self._audit is not None:
            self._write(request.endpoint, request.rows, "ok" if error is None else error.code, seconds)

    def release(self, outcome: str = "ok") -> None:
        """The call or the stream is over."""
        if self._num_held:
            seconds = monotonic() - self._began_at
            for meter in self._meters:
                meter.leave(self._num_held, seconds)
            self._num_held = 0
            if self._audit is not None and not self._num_requests:
                self._write(self._arrival.what, 0, outcome, seconds)

    def _hold(self, amounts: Amounts, now: float, *, one_more: bool) -> None:
        taken = 0
        try:
            for meter in self._meters:
                meter.take(amounts, now, one_more=one_more)
                taken += 1
        except RateLimited:
            for meter in self._meters[:taken]:
                meter.give_back(amounts, one_more=one_more)
            raise
        self._num_held += one_more

    def _write(self, endpoint: str, rows: int, outcome: str, seconds: float) -> None:
        if self._audit is not None:
            self._audit.write(
                Entry(
                    key=self._key_id,
                    address=self._arrival.address,
                    protocol=self._arrival.protocol,
                    endpoint=endpoint,
                    rows=rows,
                    outcome=outcome,
                    seconds=round(seconds, 6),
                )
            )


VISIT: ContextVar[Visit | None] = ContextVar("VISIT", default=None)
"""Whose requests are sent on their way here. None: this user's own processes."""


class Watched:
    """A request whose end its visit is told, however it ends."""

    def __init__(self, visit: Visit, request: Any, submit: Callable[[Any], Any]) -> None:
        self._visit, self._request, self._on_done = visit, request, request.on_done
        self._is_over = False
        request.on_done = self._done
        self._inner = submit(request)

    def handle(self) -> Any:
        """Return what can withdraw it; None where it has failed at once."""
        return self if self._inner is not None else None

    def withdraw(self) -> None:
        """The caller no longer wants it."""
        if self._inner is not None:
            self._inner.withdraw()
        self._end(Cancelled("withdrawn"))

    def hold(self, *, held: bool) -> None:
        """Make no more parts of a streamed answer for now, or go on."""
        if self._inner is not None:
            self._inner.hold(held=held)

    def _done(self, outcome: Any) -> None:
        self._end(outcome if isinstance(outcome, DureError) else None)
        self._on_done(outcome)

    def _end(self, error: DureError | None) -> None:
        if not self._is_over:
            self._is_over = True
            self._visit.end(self._request, error, monotonic() - self._request.read_at)


def submit_of(visit: Visit, request: Any, submit: Callable[[Any], Any]) -> Any:
    """Send a request of a visit on its way, if it is within its limits; what is returned can withdraw or hold it."""
    request.client, request.weight = visit.client, visit.weight
    if visit.max_priority is not None:
        request.priority = min(request.priority, visit.max_priority)
    try:
        tokens = estimated_tokens(request.form, request.payload) if visit.counts_tokens else 0
        visit.begin(request.rows, len(request.payload) + len(request.parameters), tokens)
    except (RateLimited, DecodeError) as error:
        request.finish(error)
        return None
    return Watched(visit, request, submit).handle() if visit.watches else submit(request)
