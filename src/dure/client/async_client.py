"""`AsyncClient`: send documents to a Flow from an event loop.

The same behaviour as `Client`; one connection carries one `post` at a time and is kept for the next.
"""

import contextlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self, Unpack

from dure.client.async_native_channel import AsyncNativeChannel
from dure.client.exchange import Exchange
from dure.client.inputs import AsyncInputs, async_requests_of
from dure.client.remote import Protocol, Remote
from dure.client.results import Results
from dure.client.sink import Options, PostOptions, Sink, keep, options_of, progress_of
from dure.document.array import DocumentArray
from dure.errors import ConnectionLost, RequestError
from dure.transport.address import written


class AsyncClient(Remote):
    """A client for an event loop; arguments as for `Client`."""

    def __init__(
        self, host: str = "127.0.0.1", port: int | str | None = None, *, protocol: Protocol | None = None, **limits: Any
    ) -> None:
        super().__init__(host, port, protocol=protocol, **limits)
        self._idle: list[Any] = []
        self._closed = False

    async def post(self, on: str, inputs: AsyncInputs = None, **options: Unpack[PostOptions]) -> Results:
        """Send documents and return what came back, as `Client.post`; inputs may also be an async iterable."""
        chosen = options_of(options)
        sink = Sink(chosen)
        try:
            async for results in self._run(on, inputs, chosen, sink, stream=False):
                if not chosen.has_callbacks:
                    sink.collected.append(results)
        except Exception as error:
            keep(error, sink, chosen)
            raise
        return sink.result()

    def stream(self, on: str, inputs: AsyncInputs = None, **options: Unpack[PostOptions]) -> AsyncIterator[Results]:
        """Send documents and yield what comes back as it comes, as `Client.stream`."""
        chosen = options_of(options)
        return self._run(on, inputs, chosen, Sink(chosen, keeps=False), stream=True)

    async def _run(self, on: str, inputs: Any, options: Options, sink: Sink, *, stream: bool) -> AsyncIterator[Results]:
        spec = self.limits(options)
        target = options.target(on, stream=stream)
        requests = async_requests_of(inputs, spec.request_size)
        exchange = Exchange(spec, in_order=options.results_in_order)
        async with self._channel() as channel:
            with progress_of(options, inputs, spec.request_size) as progress:
                failure: Exception | None = None
                more = True
                while more or exchange.in_flight:
                    if more and exchange.may_send:
                        documents, failure = await _async_advance(requests)
                        more = documents is not None
                        if documents is not None:
                            try:
                                size = await channel.call(exchange.next_number(), target, documents)
                                exchange.sent(documents, size)
                            except RequestError as error:  # nothing was sent
                                exchange.refuse(documents, error)
                        arrived = channel.poll()
                    else:
                        arrived = await channel.receive()
                    for incoming in arrived:
                        exchange.accept(incoming)
                    for delivery in exchange.ready():
                        progress(delivery)
                        results = sink.take(delivery)
                        if results is not None:
                            yield results
                if failure is not None:
                    raise failure

    @contextlib.asynccontextmanager
    async def _channel(self) -> AsyncIterator[Any]:
        channel = await self._kept() or await self._connect()
        try:
            yield channel
        except BaseException:
            await channel.close()
            raise
        if self._closed:  # meanwhile, by another task
            await channel.close()
        else:
            self._idle.append(channel)

    async def _kept(self) -> Any:
        while self._idle:
            channel = self._idle.pop()
            if channel.is_open:
                return channel
            await channel.close()
        return None

    async def _connect(self) -> Any:
        path = self.native_path()
        if path is not None:
            with contextlib.suppress(ConnectionLost) if self._protocol is None else contextlib.nullcontext():
                return await AsyncNativeChannel.open(path)
        from dure.client.grpc_channel import AsyncGrpcChannel
        from dure.client.grpc_messages import access_of

        return await AsyncGrpcChannel.open(access_of(written(self.host, self.port), self.spec))

    async def close(self) -> None:
        """Close the connections that are kept, and keep none any more."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _async_advance(requests: AsyncIterator[DocumentArray]) -> tuple[DocumentArray | None, Exception | None]:
    try:
        return await anext(requests), None
    except StopAsyncIteration:
        return None, None
    except Exception as error:  # noqa: BLE001 - of the caller's generator; raised once what was sent is answered
        return None, error
