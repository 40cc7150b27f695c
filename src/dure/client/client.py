"""`Client`: send documents to a Flow and get them back.

On the Flow's own machine it speaks our own channel, elsewhere gRPC; what the caller sees is the same. One connection
carries one `post` at a time and is kept for the next, so a client may be used from several threads.
"""

import contextlib
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self, Unpack

from dure.client.exchange import Exchange
from dure.client.inputs import Inputs, num_requests, requests_of
from dure.client.native_channel import NativeChannel
from dure.client.remote import Protocol, Remote
from dure.client.results import Results
from dure.client.sink import Options, PostOptions, Sink, keep, options_of, progress_of
from dure.document.array import DocumentArray
from dure.errors import ConnectionLost, RequestError
from dure.transport.address import written

_TOGETHER = 8
"""Requests that are written together where they are at hand: each write wakes the gateway."""


class Client(Remote):
    """A synchronous client.

    Args:
        host: Where the Flow listens; `host:port` and `grpc://host:port` are understood.
        port: Its port.
        protocol: "native" or "grpc"; if not given, our own channel where the Flow is on this machine, else gRPC.
        **limits: Settings of `dure.spec.ClientSpec`; among them `key`, the API key, and `tls`, `tls_ca`, `tls_cert`,
            `tls_key`, which go for gRPC. Our own channel needs neither: only processes of this user reach it.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int | str | None = None, *, protocol: Protocol | None = None, **limits: Any
    ) -> None:
        super().__init__(host, port, protocol=protocol, **limits)
        self._idle: list[Any] = []
        self._closed = False
        self._process = os.getpid()

    def post(self, on: str, inputs: Inputs = None, **options: Unpack[PostOptions]) -> Results:
        """Send documents to an endpoint and return what came back.

        Args:
            on: Endpoint.
            inputs: Documents (also str, bytes, dict), an iterable of them, or a function that returns one. A
                generator is read as its documents can be sent.
            **options: `parameters` (dict) · `request_size` (documents a request) · `timeout_s` (for each request) ·
                `priority` (the higher, the sooner) · `explain` (tell how it was served) · `on_done`, `on_error`,
                `on_always` (called with the Results of each request) · `continue_on_error` · `results_in_order` ·
                `show_progress`.

        Returns:
            All documents that came back, in the order they were sent in; with callbacks, which get
            them, nothing is kept and none are returned.

        Raises:
            DureError: A request failed, and neither `on_error` nor `continue_on_error` was given. What came back
                before it is in the error's `results`. The same holds for an exception of a generator in `inputs`.
        """
        chosen = options_of(options)
        sink = Sink(chosen)
        try:
            for results in self._run(on, inputs, chosen, sink, stream=False):
                if not chosen.has_callbacks:
                    sink.collected.append(results)
        except Exception as error:
            keep(error, sink, chosen)
            raise
        return sink.result()

    def stream(self, on: str, inputs: Inputs = None, **options: Unpack[PostOptions]) -> Iterator[Results]:
        """Send documents and yield what comes back as it comes; arguments as for `post`.

        Nothing is kept, so inputs and answers may be endless. Parts of a generator's answer are yielded as they are
        made. Leaving the loop withdraws what is under way.
        """
        chosen = options_of(options)
        return self._run(on, inputs, chosen, Sink(chosen, keeps=False), stream=True)

    def _run(self, on: str, inputs: Any, options: Options, sink: Sink, *, stream: bool) -> Iterator[Results]:
        spec = self.limits(options)
        target = options.target(on, stream=stream)
        requests = requests_of(inputs, spec.request_size)
        at_hand = num_requests(inputs, spec.request_size) is not None
        exchange = Exchange(spec, in_order=options.results_in_order)
        with self._channel() as channel, progress_of(options, inputs, spec.request_size) as progress:
            failure: Exception | None = None
            more = True
            while more or exchange.in_flight:
                if more and exchange.may_send:
                    documents, failure = _advance(requests)
                    more = documents is not None
                    if documents is not None:
                        try:
                            size = channel.call(exchange.next_number(), target, documents)
                            exchange.sent(documents, size)
                        except RequestError as error:  # nothing was sent
                            exchange.refuse(documents, error)
                    # Requests that are at hand go out a few at a time; a generator's do not wait for those behind them.
                    together = at_hand and exchange.may_send and exchange.next_number() % _TOGETHER
                    arrived = () if together else channel.poll()
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
        channel = self._kept() or self._connect()
        try:
            yield channel
        except BaseException:
            channel.close()  # withdraws what is under way
            raise
        if self._closed:  # meanwhile, by another thread
            channel.close()
        else:
            self._idle.append(channel)

    def _kept(self) -> Any:
        if self._process != os.getpid():
            self._idle, self._process = [], os.getpid()  # this is a fork: its parent goes on using them
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread took it
                channel = self._idle.pop()
                if channel.is_open:
                    return channel
                channel.close()
        return None

    def _connect(self) -> Any:
        path = self.native_path()
        if path is not None:
            with contextlib.suppress(ConnectionLost) if self._protocol is None else contextlib.nullcontext():
                return NativeChannel(path)
        from dure.client.grpc_channel import GrpcChannel
        from dure.client.grpc_messages import access_of

        return GrpcChannel(access_of(written(self.host, self.port), self.spec))

    def close(self) -> None:
        """Close the connections that are kept, and keep none any more."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _advance(requests: Iterator[DocumentArray]) -> tuple[DocumentArray | None, Exception | None]:
    try:
        return next(requests), None
    except StopIteration:
        return None, None
    except Exception as error:  # noqa: BLE001 - of the caller's generator; raised once what was sent is answered
        return None, error
