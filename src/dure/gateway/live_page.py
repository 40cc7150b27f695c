"""The page at /: the Flow as a graph with its rates, queues, replicas, latencies and errors, and a place to try it.

Three files of this package and one of figures; nothing is fetched from elsewhere.
"""

import asyncio
from functools import cache
from importlib.resources import files

from dure.errors import EndpointNotFound
from dure.gateway.http_exchange import Exchange, to_json
from dure.gateway.live import live_of
from dure.gateway.router import Router

_KINDS = {
    "index.html": b"text/html; charset=utf-8",
    "page.css": b"text/css; charset=utf-8",
    "page.js": b"text/javascript; charset=utf-8",
}
_POLICY = b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
_HEADERS = [
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class LivePage:
    """Serves the page and its figures.

    Args:
        router: What is shown.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    async def serve(self, exchange: Exchange) -> None:
        """Answer for `/` and what is below `/page`."""
        name = exchange.path.removeprefix("/page").strip("/") or "index.html"
        if name not in _KINDS or exchange.method not in ("GET", "HEAD"):
            raise EndpointNotFound(f"{exchange.path} is not there")
        await exchange.answer(_file(name), content_type=_KINDS[name], headers=_HEADERS)

    async def figures(self, exchange: Exchange) -> None:
        """Answer with the figures."""
        # The driver may take its time, and nobody else shall wait for it.
        live = await asyncio.to_thread(live_of, self._router)
        await exchange.answer(to_json(live), headers=[(b"cache-control", b"no-store")])


@cache
def _file(name: str) -> bytes:
    return files("dure.gateway").joinpath("page", name).read_bytes()
