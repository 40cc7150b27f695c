"""One client's stream of inference requests: answers in the order of the requests, parts of answers as they come.

Knows what may be on its way at once. Knows nothing of connections.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

from dure.errors import DureError
from dure.gateway.job import Answer
from dure.gateway.oip_call import EMPTY_FINAL, request_of
from dure.gateway.oip_envelope import infer_of, streamed, streamed_error
from dure.gateway.oip_models import Models
from dure.gateway.router import Outcome, Router
from dure.gateway.session import Session
from dure.spec import GatewaySpec

Replies: TypeAlias = list[Any]
"""Messages that can be written now."""


class Stream:
    """Requests of one client.

    Args:
        router: Where requests go.
        spec: How much may wait.
        models: Which there are.

    Attributes:
        session: Those on their way, and the answers waiting to be written.
    """

    def __init__(self, router: Router, spec: GatewaySpec, models: Models) -> None:
        self._spec, self._models = spec, models
        self._order = _Order(spec.max_queued)
        self._last = 0
        self.session: Session[Replies] = Session(router, spec)

    async def read(self, requests: AsyncIterator[Any]) -> None:
        """Send requests on their way until there are no more."""
        try:
            async for message in requests:
                self._submit(message)
                await self.session.room()
                await self._order.room()
        finally:
            self.session.finish()

    def _submit(self, message: Any) -> None:
        place = _Place()
        try:
            endpoint = self._models.endpoint(message.model_name, message.model_version)
            infer = infer_of(message, self._spec.max_request_bytes)
            request, _ = request_of(endpoint, infer)
        except DureError as error:
            self._order.add(place)
            self.session.tell(self._order.fill(place, [streamed_error(message, error)]), 0)
            return
        request.stream = self._models.streams(endpoint)
        tell_end = infer.parameters.get(EMPTY_FINAL) is True
        if not request.stream:
            self._order.add(place)

        def part(answer: Answer) -> Replies:
            return [streamed(message, answer, final=False)]

        def whole(outcome: Outcome | DureError) -> Replies:
            if isinstance(outcome, DureError):
                replies = [streamed_error(message, outcome)]
            elif request.stream and not outcome.rows:  # everything has been sent in parts
                replies = [streamed(message, None, final=True)] if tell_end else []
            else:
                replies = [streamed(message, outcome, final=True)]
            return replies if request.stream else self._order.fill(place, replies)

        self._last += 1
        self.session.submit(self._last, request, part, whole)


class _Place:
    """Where an answer goes in the order, and the answer when it is there."""

    replies: Replies | None = None


class _Order:
    """Answers that are told in the order of their requests, whichever is there first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._places: deque[_Place] = deque()
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Wait until not too many answers wait for those before them."""
        await self._room.wait()

    def add(self, place: _Place) -> None:
        self._places.append(place)
        if len(self._places) > self._most:
            self._room.clear()

    def fill(self, place: _Place, replies: Replies) -> Replies:
        """Take an answer; return all that can be told now."""
        place.replies = replies
        ready: Replies = []
        while self._places and (first := self._places[0].replies) is not None:
            ready += first
            self._places.popleft()
        if len(self._places) <= self._most:
            self._room.set()
        return ready
