"""Load: requests sent at given moments (open loop) or by clients that wait for each answer (closed loop).

In an open loop nothing holds the next request back: each has a task of its own, and its latency counts from the moment
at which it was to be sent, however late that was. Knows the loop's clock; does not know what is sent, nor to whom.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

OK = "ok"
TIMEOUT = "timeout"
UNSENT = "timeout_unsent"
"""Kind of a request that waited for a free connection until its time was up."""

_PAUSE_S = 0.05  # of a client whose request failed: a service that refuses at once is not to be stormed


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request has no answer that counts.

    Args:
        kind: One word, by which failures are counted: `http_503`, `queue_full`.
        message: What was said.
    """

    kind: str
    message: str


class Sender(Protocol):
    """What speaks to the service."""

    async def send(self, number: int) -> Refusal | None:
        """Send the n-th request and wait for its whole answer."""

    async def close(self) -> None:
        """Close the connections."""


@dataclass(slots=True)
class Samples:
    """One row for each request, in the order in which they ended; seconds from the end of the warm-up.

    Args:
        intended_s: When it was to be sent; in a closed loop, when its client was free.
        taken_s: When the load generator turned to it.
        sent_s: When it had a connection; `None` if it never had one.
        done_s: When its answer was there, or it had failed.
        outcome: `ok`, or the kind of failure.
        messages: The first message of each kind.
    """

    intended_s: list[float] = field(default_factory=list)
    taken_s: list[float] = field(default_factory=list)
    sent_s: list[float | None] = field(default_factory=list)
    done_s: list[float] = field(default_factory=list)
    outcome: list[str] = field(default_factory=list)
    messages: dict[str, str] = field(default_factory=dict)

    def rounded(self) -> "Samples":
        """Return the same in whole microseconds, as they are kept."""
        return Samples(
            [round(at, 6) for at in self.intended_s],
            [round(at, 6) for at in self.taken_s],
            [None if at is None else round(at, 6) for at in self.sent_s],
            [round(at, 6) for at in self.done_s],
            self.outcome,
            self.messages,
        )


class Load:
    """One run of requests against a service.

    Args:
        sender: Speaks to it.
        zero_s: The moment, on the running loop's clock, from which seconds are counted.
        timeout_s: After so long from the intended moment, a request without an answer has failed.
        max_connections: Requests that are under way at once; what is beyond waits here, and its time counts.
    """

    def __init__(self, sender: Sender, zero_s: float, timeout_s: float, max_connections: int) -> None:
        self._sender = sender
        self._zero_s = zero_s
        self._timeout_s = timeout_s
        self._free = asyncio.Semaphore(max_connections)
        self._now = asyncio.get_running_loop().time
        self._samples = Samples()

    async def open_loop(self, moments: Sequence[float]) -> Samples:
        """Send a request at each moment, whatever has become of those before.

        Args:
            moments: Seconds, ascending.
        """
        async with asyncio.TaskGroup() as group:
            for number, moment in enumerate(moments):
                intended = self._zero_s + moment
                # Also when it is late: the loop must come round, or nothing is sent at all.
                await asyncio.sleep(max(0.0, intended - self._now()))
                group.create_task(self._request(number, intended))
        return self._samples

    async def closed_loop(self, num_clients: int, start_s: float, end_s: float) -> Samples:
        """Let clients send one request after the other, each when the one before has been answered.

        Args:
            num_clients: How many of them.
            start_s: When they begin.
            end_s: When they send no more.
        """
        numbers = count()
        await asyncio.sleep(max(0.0, self._zero_s + start_s - self._now()))
        async with asyncio.TaskGroup() as group:
            for _ in range(num_clients):
                group.create_task(self._client(numbers, self._zero_s + end_s))
        return self._samples

    async def _client(self, numbers: Iterator[int], end: float) -> None:
        while (now := self._now()) < end:
            if not await self._request(next(numbers), now):
                await asyncio.sleep(_PAUSE_S)

    async def _request(self, number: int, intended: float) -> bool:
        taken = self._now()
        must_wait = self._free.locked()
        sent: float | None = None
        refusal: Refusal | None = Refusal(TIMEOUT, f"no answer {self._timeout_s:g} s after it was to be sent")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(intended + self._timeout_s), self._free:
                sent = self._now() if must_wait else taken
                refusal = await self._sender.send(number)
        if refusal is not None and sent is None:
            refusal = Refusal(UNSENT, f"no connection was free within {self._timeout_s:g} s")
        self._note(intended, taken, sent, refusal)
        return refusal is None

    def _note(self, intended: float, taken: float, sent: float | None, refusal: Refusal | None) -> None:
        samples, zero = self._samples, self._zero_s
        samples.intended_s.append(intended - zero)
        samples.taken_s.append(taken - zero)
        samples.sent_s.append(None if sent is None else sent - zero)
        samples.done_s.append(self._now() - zero)
        samples.outcome.append(OK if refusal is None else refusal.kind)
        if refusal is not None:
            samples.messages.setdefault(refusal.kind, refusal.message)
