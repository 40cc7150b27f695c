"""One client's stream of requests: those on their way, and the answers waiting to be written.

For protocols on which many requests of one client are under way at once. Bounds what the client may have waiting. Knows
neither how requests are read nor how answers are written.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from dure.errors import DecodeError, DureError
from dure.gateway.job import Answer
from dure.gateway.router import Handle, Outcome, Request, Router
from dure.spec import GatewaySpec

Reply = TypeVar("Reply")

_MAX_READY_BYTES = 4 * 2**20  # of answers that the client does not take, after which no more parts are made


class Session(Generic[Reply]):
    """Requests of one client, each under a number that the client chose.

    Args:
        router: Where requests go.
        spec: How much may wait.
    """

    def __init__(self, router: Router, spec: GatewaySpec) -> None:
        self._router = router
        self._spec = spec
        self._walks: dict[Hashable, Handle | None] = {}
        self._sizes: dict[Hashable, int] = {}
        self._queued_bytes = 0
        self._ready: list[tuple[int, Reply]] = []
        self._ready_bytes = 0
        self._held: set[Hashable] = set()
        self._ended = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Wait until the client may send more."""
        await self._room.wait()

    def submit(
        self,
        number: Hashable,
        request: Request,
        render_part: Callable[[Answer], Reply],
        render: Callable[[Outcome | DureError], Reply],
    ) -> None:
        """Send a request on its way; its answers are rendered and wait to be taken.

        Raises:
            DecodeError: The number is in use.
        """
        if number in self._walks:
            raise DecodeError(f"request id {number} is in use on this stream")

        def done(outcome: Outcome | DureError) -> None:
            self._walks.pop(number, None)
            self._held.discard(number)
            self._queued_bytes -= self._sizes.pop(number, 0)
            self.tell(render(outcome), 0 if isinstance(outcome, DureError) else len(outcome.payload))

        def part(answer: Answer) -> None:
            self.tell(render_part(answer), len(answer.payload))
            if self._ready_bytes > _MAX_READY_BYTES and number not in self._held:
                self._hold({number}, held=True)

        request.on_done, request.on_part = done, part
        self._sizes[number] = len(request.payload)
        self._queued_bytes += len(request.payload)
        self._walks[number] = None
        walk = self._router.submit(request)
        if number in self._walks:  # it may have failed at once
            self._walks[number] = walk
        self._bound()

    def tell(self, reply: Reply, size: int) -> None:
        """Have an answer of about so many bytes written."""
        self._ready.append((size, reply))
        self._ready_bytes += size
        self._changed.set()
        self._bound()

    def finish(self) -> None:
        """Let the stream end when everything is answered."""
        self._ended = True
        self._changed.set()

    async def next_replies(self) -> list[Reply]:
        """Wait for answers; return those that are ready, up to some megabytes, none when all requests are answered."""
        while not self._ready:
            if self._ended and not self._walks:
                return []
            self._changed.clear()
            await self._changed.wait()
        size, count = 0, 0
        for reply_size, _ in self._ready:
            size += reply_size
            count += 1
            if size > _MAX_READY_BYTES:
                break
        taken = [reply for _, reply in self._ready[:count]]
        del self._ready[:count]
        self._ready_bytes -= size
        self._bound()
        if self._ready_bytes <= _MAX_READY_BYTES:
            self._hold(self._held.copy(), held=False)
        return taken

    def withdraw(self, number: Hashable) -> None:
        """The client no longer wants this answer."""
        walk = self._walks.pop(number, None)
        self._held.discard(number)
        self._queued_bytes -= self._sizes.pop(number, 0)
        if walk is not None:
            walk.withdraw()
            self._router.figures.cancelled()
        self._changed.set()
        self._bound()

    def withdraw_all(self) -> None:
        """The client is gone."""
        for number in list(self._walks):
            self.withdraw(number)

    def _hold(self, numbers: set[Hashable], *, held: bool) -> None:
        for number in numbers:
            (self._held.add if held else self._held.discard)(number)
            walk = self._walks.get(number)
            if walk is not None:
                walk.hold(held=held)

    def _bound(self) -> None:
        """Read from a client only while it has not too much waiting, answers it does not take included."""
        count, size = len(self._walks) + len(self._ready), self._queued_bytes + self._ready_bytes
        if count > self._spec.max_queued or size > self._spec.max_queued_bytes:
            self._room.clear()
        else:
            self._room.set()
