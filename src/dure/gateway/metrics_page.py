"""The figures of the whole Flow as one page that Prometheus reads.

Served by a thread of its own that sleeps until somebody asks. Counts nothing itself.
"""

from collections.abc import Iterator
from itertools import accumulate
from socket import AF_INET, AF_INET6
from threading import Lock, Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from dure.device.probe import utilization
from dure.errors import DureError, StartFailed
from dure.gateway.dispatcher import Dispatcher
from dure.gateway.figures import Histogram
from dure.gateway.guard import Guard
from dure.gateway.keys import Scope
from dure.gateway.origins import Origins
from dure.gateway.router import Router
from dure.gateway.tls import context_of
from dure.gateway.visit import Arrival
from dure.spec import GatewaySpec


class MetricsPage:
    """`http://host:port/metrics`.

    Args:
        router: Whose figures are shown.
        guard: Whose refusals are shown.
        spec: Where to listen, and whom to answer.

    Attributes:
        port: Where it listens.

    Raises:
        StartFailed: The address cannot be listened on.
    """

    def __init__(self, router: Router, guard: Guard, spec: GatewaySpec) -> None:
        registry = CollectorRegistry()
        registry.register(_Figures(router, guard))
        page, host, port = _Guarded(make_wsgi_app(registry), spec), spec.host, spec.metrics_port or 0
        kind: Any = type("_Server", (ThreadingWSGIServer,), {"address_family": AF_INET6 if ":" in host else AF_INET})
        try:
            self._server: Any = make_server(host, port, page, kind, handler_class=_Silent)
        except OSError as error:
            raise StartFailed(f"metrics_port: {host}:{port} cannot be listened on: {error}") from error
        tls = context_of(spec)
        if tls is not None:
            # The handshake is made by the thread of who asks, so that nobody holds up the others.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.port: int = self._server.server_port

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Silent(WSGIRequestHandler):
    timeout = 30

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has in its base
        """Say nothing."""


class _Guarded:
    """The page, for who may see it. With a guard of its own, since it is asked by threads."""

    def __init__(self, page: Any, spec: GatewaySpec) -> None:
        self._page = page
        self._guard, self._origins = Guard(spec), Origins(spec)
        self._lock = Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        names = {b"host": "HTTP_HOST", b"origin": "HTTP_ORIGIN"}
        headers = {name: environ[key].encode("latin-1") for name, key in names.items() if key in environ}
        kind, _, value = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        given = value.strip() if kind.lower() == "bearer" else environ.get("HTTP_X_API_KEY")
        key = None if given is None else given.encode("latin-1")
        arrival = Arrival("http", "/metrics", environ.get("REMOTE_ADDR", ""), key, inside=True)
        try:
            with self._lock:
                self._origins.check(headers)
                self._guard.admit(Scope.METRICS, arrival).release()
        except DureError as error:
            start_response(f"{error.http_status} Refused", [("Content-Type", "text/plain; charset=utf-8")])
            return [f"{error.args[0]}\n".encode()]
        return self._page(environ, start_response)


class _Figures(Collector):
    def __init__(self, router: Router, guard: Guard) -> None:
        self._router = router
        self._guard = guard

    def collect(self) -> Iterator[Any]:
        yield from self._of_requests()
        executors = self._router.dispatchers.items()
        for family in _families():
            for name, dispatcher in executors:
                family.add(name, dispatcher)
            yield family.metric
        used = GaugeMetricFamily("dure_device_utilization_ratio", "Share of time a device was busy", labels=["device"])
        for context, share in utilization().items():
            used.add_metric([str(context)], share)
        yield used

    def _of_requests(self) -> Iterator[Any]:
        figures = self._router.figures
        outcomes = CounterMetricFamily("dure_requests", "Requests, by what became of them", labels=["outcome"])
        for word, count in sorted(figures.outcomes.items()):
            outcomes.add_metric([word], count)
        yield outcomes
        denied = CounterMetricFamily("dure_not_let_in", "Who was refused at the door, by cause", labels=["cause"])
        for word, count in sorted(self._guard.refused.items()):
            denied.add_metric([word], count)
        yield denied
        seconds = HistogramMetricFamily("dure_request_seconds", "From when a request was read until it was answered")
        _add(seconds, [], figures.seconds)
        yield seconds


class _Family:
    """One metric, with a way to fill it for an Executor."""

    def __init__(self, metric: Any, fill: Any) -> None:
        self.metric = metric
        self._fill = fill

    def add(self, name: str, dispatcher: Dispatcher) -> None:
        for labels, value in self._fill(dispatcher):
            if isinstance(value, Histogram):
                _add(self.metric, [name, *labels], value)
            else:
                self.metric.add_metric([name, *labels], value)


def _families() -> list[_Family]:
    def gauge(name: str, text: str, read: Any, *labels: str) -> _Family:
        return _Family(GaugeMetricFamily(name, text, labels=["executor", *labels]), read)

    def counter(name: str, text: str, read: Any, *labels: str) -> _Family:
        return _Family(CounterMetricFamily(name, text, labels=["executor", *labels]), read)

    def histogram(name: str, text: str, read: Any, *labels: str) -> _Family:
        return _Family(HistogramMetricFamily(name, text, labels=["executor", *labels]), read)

    return [
        gauge("dure_queue_requests", "Requests that wait", lambda d: [([], d.num_queued)]),
        gauge("dure_replicas", "Replicas that can be used", lambda d: [([], d.num_replicas)]),
        gauge("dure_in_flight_rows", "Documents that are with a replica", lambda d: [([], d.rows_in_flight)]),
        counter("dure_refused", "Requests not queued, by cause", lambda d: _items(d.figures.refused), "cause"),
        counter("dure_calls", "Calls of methods", lambda d: [([], d.figures.num_calls)]),
        counter("dure_cached_documents", "Documents whose answer was kept", lambda d: [([], d.figures.num_cached)]),
        counter("dure_busy_seconds", "Time in methods", lambda d: _items(d.figures.busy_s), "replica"),
        histogram("dure_stage_seconds", "Stages of a request", lambda d: _items(d.figures.stages), "stage"),
        histogram(
            "dure_method_stage_seconds",
            "What methods say of their time",
            lambda d: _items(dict(d.figures.method_stages)),
            "stage",
        ),
        histogram("dure_batch_requests", "Requests of a batch", lambda d: [([], d.figures.batch_requests)]),
        histogram("dure_batch_rows", "Documents of a batch", lambda d: [([], d.figures.batch_rows)]),
        histogram("dure_batch_cost", "Cost of a batch, where it is not rows", lambda d: [([], d.figures.batch_cost)]),
        histogram("dure_batch_padding_ratio", "Share of a batch that is padding", lambda d: [([], d.figures.padding)]),
    ]


def _items(values: Any) -> list[tuple[list[str], Any]]:
    return [([str(key)], value) for key, value in sorted(values.items())]


def _add(metric: Any, labels: list[str], histogram: Histogram) -> None:
    bounds = [*map(str, map(float, histogram.bounds)), "+Inf"]
    metric.add_metric(labels, list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.sum)
