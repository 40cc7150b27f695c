"""`Client` and `AsyncClient`: send documents to a Flow and get them back.

On the Flow's own machine they speak our own channel, elsewhere gRPC; what the caller sees is the same. One connection
carries one `post` at a time and is kept for the next, so a client may be used from several threads.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

import msgspec

from dure.client.exchange import Delivery, Exchange, encode_parameters
from dure.client.inputs import AsyncInputs, Inputs, async_requests_of, num_requests, requests_of
from dure.client.native_channel import AsyncNativeChannel, NativeChannel, Target
from dure.client.results import Failure, Results
from dure.document.array import DocumentArray
from dure.errors import ConnectionLost, DureError, SpecError
from dure.spec import ClientSpec, build
from dure.transport.address import find_native

Callback: TypeAlias = Callable[[Results], Any]
Protocol: TypeAlias = Literal["native", "grpc"]


class _Sink:
    """What becomes of deliveries: callbacks, collecting, raising."""

    def __init__(self, options: "_Options") -> None:
        self._options = options
        self.collected: list[Results] = []
        self.failures: list[Failure] = []

    def take(self, delivery: Delivery) -> Results | None:
        """Handle one delivery; return what `stream` is to yield.

        Raises:
            DureError: The request failed and nobody said to go on.
        """
        options, results, failure = self._options, delivery.results, delivery.failure
        if failure is None:
            if options.on_done is not None:
                options.on_done(results)
        else:
            results.failures = [failure]
            if options.on_error is not None:
                options.on_error(results)
            elif not options.continue_on_error:
                raise failure.error
            self.failures.append(failure)
        if options.on_always is not None:
            options.on_always(results)
        return results if failure is None or options.continue_on_error else None

    def result(self) -> Results:
        """Return everything collected as one."""
        from dure.document.merge import concatenate

        whole = Results.of(concatenate(self.collected) if self.collected else DocumentArray())
        whole.failures = self.failures
        for results in self.collected:
            for name, value in results.parameters.get("__results__", {}).items():
                whole.parameters.setdefault("__results__", {})[name] = value
        return whole


class _Options(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of `post` beyond where and what."""

    on_done: Callback | None = None
    on_error: Callback | None = None
    on_always: Callback | None = None
    parameters: dict[str, Any] | None = None
    request_size: int | None = None
    show_progress: bool = False
    continue_on_error: bool = False
    results_in_order: bool = True

    @property
    def has_callbacks(self) -> bool:
        return any(callback is not None for callback in (self.on_done, self.on_error, self.on_always))


class _Base:
    def __init__(
        self, host: str = "127.0.0.1", port: int | None = None, *, protocol: Protocol | None = None, **limits: Any
    ) -> None:
        if "://" in host:
            scheme, _, host = host.partition("://")
            protocol = protocol or _protocol(scheme)
        if port is None:
            host, _, text = host.rpartition(":")
            if not text.isdigit():
                raise SpecError("Client.port: say which port the Flow listens on, e.g. Client(port=12345)")
            port = int(text)
        self.host = host
        self.port = int(port)
        self._protocol = None if protocol is None else _protocol(protocol)
        self._spec = build(ClientSpec, limits, "Client")

    def _limits(self, options: _Options) -> ClientSpec:
        if options.request_size is None:
            return self._spec
        return build(ClientSpec, {**msgspec.structs.asdict(self._spec), "request_size": options.request_size}, "post")

    def _native(self) -> Any:
        if self._protocol == "grpc":
            return None
        path = find_native(self.host, self.port)
        if path is None and self._protocol == "native":
            raise ConnectionLost(f"no Flow of this user listens at {self.host}:{self.port} on this machine")
        return path


def _protocol(name: str) -> Protocol:
    if name not in ("native", "grpc"):
        raise SpecError(f"Client.protocol: must be 'native' or 'grpc', not {name!r}")
    return name  # type: ignore[return-value]  # checked against its two values


class Client(_Base):
    """A synchronous client.

    Args:
        host: Where the Flow listens; `host:port` and `grpc://host:port` are understood.
        port: Its port.
        protocol: "native" or "grpc"; if not given, our own channel where the Flow is on this machine, else gRPC.
        **limits: Settings of `dure.spec.ClientSpec`.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int | None = None, *, protocol: Protocol | None = None, **limits: Any
    ) -> None:
        super().__init__(host, port, protocol=protocol, **limits)
        self._idle: list[Any] = []

    def post(self, on: str, inputs: Inputs = None, **options: Any) -> Results | None:
        """Send documents to an endpoint and return what came back.

        Args:
            on: Endpoint.
            inputs: Documents (also str, bytes, dict), an iterable of them, or a function that returns one. A
                generator is read as its documents can be sent.
            **options: `parameters` (dict) · `request_size` (documents a request) · `on_done`, `on_error`,
                `on_always` (called with the Results of each request) · `continue_on_error` · `results_in_order` ·
                `show_progress`.

        Returns:
            All documents that came back, in the order they were sent in; with callbacks, nothing is kept and None is
            returned.

        Raises:
            DureError: A request failed, and neither `on_error` nor `continue_on_error` was given. What came back
                before it is in the error's `results`. The same holds for an exception of a generator in `inputs`.
        """
        chosen = _options(options)
        sink = _Sink(chosen)
        try:
            for results in self._run(on, inputs, chosen, sink, stream=False):
                if not chosen.has_callbacks:
                    sink.collected.append(results)
        except Exception as error:
            _keep(error, sink, chosen)
            raise
        return None if chosen.has_callbacks else sink.result()

    def stream(self, on: str, inputs: Inputs = None, **options: Any) -> Iterator[Results]:
        """Send documents and yield what comes back as it comes; arguments as for `post`.

        Nothing is kept, so inputs and answers may be endless. Parts of a generator's answer are yielded as they are
        made. Leaving the loop withdraws what is under way.
        """
        chosen = _options(options)
        return self._run(on, inputs, chosen, _Sink(chosen), stream=True)

    def _run(self, on: str, inputs: Any, options: _Options, sink: _Sink, *, stream: bool) -> Iterator[Results]:
        spec = self._limits(options)
        target = Target(on, encode_parameters(options.parameters), stream)
        requests = requests_of(inputs, spec.request_size)
        exchange = Exchange(spec, in_order=options.results_in_order)
        with self._channel() as channel, _progress(options, inputs, spec.request_size) as progress:
            failure: Exception | None = None
            more = True
            while more or exchange.in_flight:
                if more and exchange.may_send:
                    documents, failure = _advance(requests)
                    more = documents is not None
                    if documents is not None:
                        number = exchange.next_number()
                        exchange.sent(documents, channel.call(number, target, documents))
                    arrived = channel.poll()
                else:
                    arrived = channel.receive()
                for incoming in arrived:
                    exchange.accept(incoming)
                for delivery in exchange.ready():
                    progress(delivery)
                    results = sink.take(delivery)
                    if results is not None:
                        yield results
            if failure is not None:
                raise failure

    @contextlib.contextmanager
    def _channel(self) -> Iterator[Any]:
        try:
            channel = self._idle.pop()
        except IndexError:
            channel = self._connect()
        try:
            yield channel
        except BaseException:
            channel.close()  # withdraws what is under way
            raise
        self._idle.append(channel)

    def _connect(self) -> Any:
        path = self._native()
        if path is not None:
            with contextlib.suppress(ConnectionLost) if self._protocol is None else contextlib.nullcontext():
                return NativeChannel(path)
        from dure.client.grpc_channel import GrpcChannel

        return GrpcChannel(f"{self.host}:{self.port}")

    def close(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            self._idle.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Base):
    """A client for an event loop; arguments as for `Client`."""

    def __init__(
        self, host: str = "127.0.0.1", port: int | None = None, *, protocol: Protocol | None = None, **limits: Any
    ) -> None:
        super().__init__(host, port, protocol=protocol, **limits)
        self._idle: list[Any] = []

    async def post(self, on: str, inputs: AsyncInputs = None, **options: Any) -> Results | None:
        """Send documents and return what came back, as `Client.post`; inputs may also be an async iterable."""
        chosen = _options(options)
        sink = _Sink(chosen)
        try:
            async for results in self._run(on, inputs, chosen, sink, stream=False):
                if not chosen.has_callbacks:
                    sink.collected.append(results)
        except Exception as error:
            _keep(error, sink, chosen)
            raise
        return None if chosen.has_callbacks else sink.result()

    def stream(self, on: str, inputs: AsyncInputs = None, **options: Any) -> AsyncIterator[Results]:
        """Send documents and yield what comes back as it comes, as `Client.stream`."""
        chosen = _options(options)
        return self._run(on, inputs, chosen, _Sink(chosen), stream=True)

    async def _run(
        self, on: str, inputs: Any, options: _Options, sink: _Sink, *, stream: bool
    ) -> AsyncIterator[Results]:
        spec = self._limits(options)
        target = Target(on, encode_parameters(options.parameters), stream)
        requests = async_requests_of(inputs, spec.request_size)
        exchange = Exchange(spec, in_order=options.results_in_order)
        async with self._channel() as channel:
            with _progress(options, inputs, spec.request_size) as progress:
                failure: Exception | None = None
                more = True
                while more or exchange.in_flight:
                    if more and exchange.may_send:
                        documents, failure = await _async_advance(requests)
                        more = documents is not None
                        if documents is not None:
                            number = exchange.next_number()
                            exchange.sent(documents, await channel.call(number, target, documents))
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
        channel = self._idle.pop() if self._idle else await self._connect()
        try:
            yield channel
        except BaseException:
            await channel.close()
            raise
        self._idle.append(channel)

    async def _connect(self) -> Any:
        path = self._native()
        if path is not None:
            with contextlib.suppress(ConnectionLost) if self._protocol is None else contextlib.nullcontext():
                return await AsyncNativeChannel.open(path)
        from dure.client.grpc_channel import AsyncGrpcChannel

        return await AsyncGrpcChannel.open(f"{self.host}:{self.port}")

    async def close(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            await self._idle.pop().close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _options(options: dict[str, Any]) -> _Options:
    from dure.spec import suggest

    known = _Options.__struct_fields__
    for name in options:
        if name not in known:
            raise SpecError(f"post.{name}: unknown argument.{suggest(name, known)} Known are: {', '.join(known)}.")
    return _Options(**options)


def _advance(requests: Iterator[DocumentArray]) -> tuple[DocumentArray | None, Exception | None]:
    try:
        return next(requests), None
    except StopIteration:
        return None, None
    except Exception as error:  # noqa: BLE001 - of the caller's generator; raised once what was sent is answered
        return None, error


async def _async_advance(requests: AsyncIterator[DocumentArray]) -> tuple[DocumentArray | None, Exception | None]:
    try:
        return await anext(requests), None
    except StopAsyncIteration:
        return None, None
    except Exception as error:  # noqa: BLE001 - of the caller's generator; raised once what was sent is answered
        return None, error


def _keep(error: Exception, sink: _Sink, options: _Options) -> None:
    if options.has_callbacks or isinstance(error, SpecError):
        return
    results = sink.result()
    with contextlib.suppress(AttributeError):
        error.results = results  # type: ignore[attr-defined]  # documented in post
        if not isinstance(error, DureError):
            error.add_note(f"{len(results)} documents had come back before; they are in this exception's `results`.")


@contextlib.contextmanager
def _progress(options: _Options, inputs: Any, request_size: int) -> Iterator[Callable[[Delivery], None]]:
    if not options.show_progress:
        yield lambda _: None
        return
    from dure.client.progress import Progress

    with Progress(num_requests(inputs, request_size)) as progress:
        yield lambda delivery: progress.advance(len(delivery.results), final=delivery.final)
