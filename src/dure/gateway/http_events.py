"""An answer as server-sent events: one for each part that a method yields, and one at the end."""

import asyncio

from dure.errors import Cancelled, DureError
from dure.gateway.http_exchange import Exchange, error_body, to_json
from dure.gateway.http_json import answer_pieces
from dure.gateway.job import Answer
from dure.gateway.router import Handle, Outcome, Request, Router

EVENTS = b"text/event-stream"
_MAX_PARTS_BYTES = 4 * 2**20  # of a streamed answer that the client has not taken, after which no more are made


class Events:
    """One answer.

    Args:
        exchange: Where it is written to.
        explain: Whether it ends with how it was served.
    """

    def __init__(self, exchange: Exchange, *, explain: bool) -> None:
        self._exchange, self._explain = exchange, explain
        self._waiting: list[Answer] = []
        self._waiting_bytes = 0
        self._outcome: Outcome | DureError | None = None
        self._changed = asyncio.Event()
        self._handle: Handle | None = None

    async def send(self, router: Router, request: Request) -> None:
        """Send a request on its way, and its answer as it comes.

        Raises:
            DureError: It came to nothing before anything was sent.
        """
        request.stream, request.on_part, request.on_done = True, self._on_part, self._on_done
        exchange = self._exchange
        self._handle = router.submit(request)
        exchange.on_lost(lambda: self._lost(router))
        try:
            await self._changed.wait()
            if isinstance(self._outcome, DureError) and not self._waiting:
                raise self._outcome
            await exchange.begin(EVENTS, [(b"cache-control", b"no-store")])
            while self._waiting or self._outcome is None:
                await self._write_parts()
            await exchange.piece(self._last(self._outcome), last=True)
        finally:
            exchange.on_lost(None)

    async def _write_parts(self) -> None:
        if not self._waiting:
            self._changed.clear()
            await self._changed.wait()
        parts, self._waiting, self._waiting_bytes = self._waiting, [], 0
        for part in parts:
            await self._exchange.piece(b'event: part\ndata: {"data":' + bytes(part.payload) + b"}\n\n")
        if self._handle is not None:
            self._handle.hold(held=False)

    def _last(self, outcome: Outcome | DureError) -> bytes:
        if isinstance(outcome, DureError):
            return b"event: error\ndata: " + to_json({"error": error_body(outcome)}) + b"\n\n"
        return b"event: done\ndata: " + b"".join(answer_pieces(outcome, explain=self._explain)) + b"\n\n"

    def _on_part(self, answer: Answer) -> None:
        self._waiting.append(answer)
        self._waiting_bytes += len(answer.payload)
        if self._waiting_bytes > _MAX_PARTS_BYTES and self._handle is not None:
            self._handle.hold(held=True)
        self._changed.set()

    def _on_done(self, outcome: Outcome | DureError) -> None:
        self._outcome = outcome
        self._changed.set()

    def _lost(self, router: Router) -> None:
        if self._handle is not None and self._outcome is None:
            self._handle.withdraw()
            router.figures.cancelled()
            self._on_done(Cancelled("the client went away"))
