"""The four ways to call a Flow, behind one interface, so that one suite tests them all."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Literal

from dure import AsyncClient, Client
from dure.client.results import Results

MAX_REQUEST_BYTES = 2 * 2**20

Protocol = Literal["native", "grpc"]


class Caller:
    """A `Client`."""

    def __init__(self, port: int, protocol: Protocol, **limits: Any) -> None:
        self.port = port
        self._client = Client(port=port, protocol=protocol, **limits)

    def post(self, on: str, inputs: Any = None, **options: Any) -> Results:
        return self._client.post(on, inputs, **options)

    def stream(self, on: str, inputs: Any = None, **options: Any) -> Iterator[Results]:
        return self._client.stream(on, inputs, **options)

    def close(self) -> None:
        self._client.close()


class AsyncCaller(Caller):
    """An `AsyncClient`, on a loop of its own."""

    def __init__(self, port: int, protocol: Protocol, **limits: Any) -> None:
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._async = AsyncClient(port=port, protocol=protocol, **limits)

    def post(self, on: str, inputs: Any = None, **options: Any) -> Results:
        return self._loop.run_until_complete(self._async.post(on, inputs, **options))

    def stream(self, on: str, inputs: Any = None, **options: Any) -> Iterator[Results]:
        results = self._async.stream(on, inputs, **options)
        try:
            while True:
                try:
                    yield self._loop.run_until_complete(anext(results))
                except StopAsyncIteration:
                    return
        finally:
            self._loop.run_until_complete(results.aclose())  # type: ignore[attr-defined]  # it is a generator

    def close(self) -> None:
        self._loop.run_until_complete(self._async.close())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


KINDS: dict[str, tuple[type[Caller], Protocol]] = {
    "native": (Caller, "native"),
    "native async": (AsyncCaller, "native"),
    "grpc": (Caller, "grpc"),
    "grpc async": (AsyncCaller, "grpc"),
}


def opened(kind: str, port: int, **limits: Any) -> closing[Caller]:
    """Return a caller of this kind, to be used in `with`."""
    caller, protocol = KINDS[kind]
    return closing(caller(port, protocol, **limits))
