"""One call over HTTP: a request on its way, that is withdrawn when its client goes away.

Whatever the words in which it was asked. Knows nothing of routes and bodies.
"""

from math import inf
from typing import TYPE_CHECKING, Any

from dure.errors import Cancelled, DureError, ValidationError
from dure.gateway.http_exchange import Exchange
from dure.gateway.router import Handle, Outcome, Request, Router

if TYPE_CHECKING:
    import asyncio


_MAX_DIGITS = 15  # of milliseconds: more is no number of seconds that a clock has


async def outcome_of(router: Router, request: Request, exchange: Exchange) -> Outcome:
    """Send a request on its way and wait for its answer; withdraw it when the client goes away.

    Raises:
        DureError: What it came to instead of an answer.
    """
    done: asyncio.Future[Outcome | DureError] = exchange.future()
    request.on_done = done.set_result
    request.traceparent = exchange.headers.get(b"traceparent", b"").decode("latin-1")
    handle = router.submit(request)
    if not done.done():
        exchange.on_lost(lambda: _withdraw(handle, router, done))
        try:
            await done
        finally:
            exchange.on_lost(None)
    outcome = done.result()
    if isinstance(outcome, DureError):
        raise outcome
    return outcome


def _withdraw(handle: Handle | None, router: Router, done: "asyncio.Future[Any]") -> None:
    if handle is not None and not done.done():
        handle.withdraw()
        router.figures.cancelled()
        done.set_result(Cancelled("the client went away"))


def timeout_of(exchange: Exchange, timeout_s: float) -> float:
    """Return how long an answer is of use: so long, or by the header `X-Request-Timeout-Ms` if that is shorter.

    Raises:
        ValidationError: The header holds no positive number.
    """
    given = exchange.headers.get(b"x-request-timeout-ms")
    if given is None:
        return timeout_s
    if not given.isdigit() or len(given) > _MAX_DIGITS or int(given) == 0:
        raise ValidationError(f"X-Request-Timeout-Ms must be a whole number of milliseconds, not {given!r:.40}")
    return min(int(given) / 1000, timeout_s or inf)
