"""The beginning and the end of an ASGI application, as its own protocol has them.

Knows nothing of requests.
"""

import asyncio
from typing import Any

from dure.log import get_logger

_RAISES_S = 5.0  # between telling that it has failed and raising what it failed with


class Lifespan:
    """One application's.

    Args:
        app: The application. It may have no beginning and no end.

    Attributes:
        state: What it has kept for its requests.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}

    async def start(self) -> None:
        """Let it begin.

        Raises:
            Exception: What it raised when it said that it has failed.
        """
        self._task = asyncio.get_running_loop().create_task(self._run())
        told = await self._ask("lifespan.startup")
        if told is None:
            return  # it knows of no lifespan
        if told["type"] != "lifespan.startup.complete":
            await asyncio.wait([self._task], timeout=_RAISES_S)
            if self._task.done() and (error := self._task.exception()) is not None:
                raise error
            raise RuntimeError(told.get("message") or "it said that it failed, and not why")

    async def stop(self, grace_s: float) -> None:
        """Let it end, for so long at most."""
        if self._task is None or self._task.done():
            return
        try:
            async with asyncio.timeout(grace_s):
                told = await self._ask("lifespan.shutdown")
                if told is not None and told["type"] != "lifespan.shutdown.complete":
                    get_logger("gateway").error("an app failed when it ended: %s", told.get("message", ""))
                await asyncio.wait([self._task])
        except TimeoutError:
            get_logger("gateway").error("an app did not end within %g s", grace_s)
            self._task.cancel()

    async def _ask(self, what: str) -> dict[str, Any] | None:
        """Return what it answers; None where it is over without an answer."""
        task = self._task
        if task is None:
            return None
        self._asked.put_nowait({"type": what})
        answer = asyncio.ensure_future(self._told.get())
        await asyncio.wait([answer, task], return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None if self._told.empty() else self._told.get_nowait()

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._asked.get, self._told.put)
        except SystemExit as error:
            raise RuntimeError(f"it called sys.exit({error.code!r})") from error  # which would end the gateway
