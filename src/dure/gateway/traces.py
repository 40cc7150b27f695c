"""Requests as OpenTelemetry spans: one for each, below it one for each Executor, below that its stages.

Made when a request is finished, of what is measured anyway, and sent by OTLP over HTTP to the address that was given,
nowhere else. A trace that the client began (`traceparent`) goes on. Knows nothing of protocols.
"""

from collections.abc import Sequence
from time import monotonic, time_ns
from typing import Any

from dure.deps import require
from dure.errors import DureError
from dure.served import Served


class Traces:
    """Makes spans and sends them, from a thread of its own.

    Args:
        address: Of a collector, e.g. `http://127.0.0.1:4318`.
        share: What part of the requests is traced whose client did not decide it, 0 to 1.

    Raises:
        MissingDependency: OpenTelemetry is not installed.
    """

    def __init__(self, address: str, share: float) -> None:
        require("opentelemetry.sdk", "traces")
        exporter = require("opentelemetry.exporter.otlp.proto.http.trace_exporter", "traces").OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(share)),
            resource=Resource.create({"service.name": "dure"}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter(endpoint=f"{address.rstrip('/')}/v1/traces")))
        self._tracer = self._provider.get_tracer("dure")
        self._propagator = TraceContextTextMapPropagator()

    def record(
        self,
        endpoint: str,
        rows: int,
        read_at: float,
        traceparent: str,
        error: DureError | None,
        visits: Sequence[tuple[str, float, Served]],
    ) -> None:
        """Make the spans of a request that is finished.

        Args:
            endpoint: Where it went.
            rows: Number of its documents.
            read_at: When it came, on the monotonic clock.
            traceparent: What its client said of its own trace; may be empty.
            error: What it came to instead of an answer.
            visits: Of each Executor its name, when the request came to it, and how it was served.
        """
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        ahead_ns = time_ns() - int(monotonic() * 1e9)
        root = self._tracer.start_span(
            endpoint,
            self._propagator.extract({"traceparent": traceparent}),
            SpanKind.SERVER,
            {"dure.endpoint": endpoint, "dure.rows": rows},
            start_time=ahead_ns + int(read_at * 1e9),
        )
        if root.is_recording():
            if error is not None:
                root.set_attribute("error.type", error.code)
                root.set_status(Status(StatusCode.ERROR, str(error.args[0]) if error.args else error.code))
            context = set_span_in_context(root)
            for name, arrived_at, served in visits:
                self._visit(name, served, context, ahead_ns + int(arrived_at * 1e9))
        root.end()

    def _visit(self, name: str, served: Served, context: Any, begin_ns: int) -> None:
        from opentelemetry.trace import set_span_in_context

        attributes: dict[str, str | int] = {
            "dure.executor": name,
            "dure.replica": served.replica,
            "dure.batch_requests": served.batch_requests,
            "dure.batch_rows": served.batch_rows,
        }
        span = self._tracer.start_span(name, context, attributes=attributes, start_time=begin_ns)
        inside, at_ns = set_span_in_context(span), begin_ns
        stages = ("queue", served.queue_s), ("wait", served.wait_s), ("compute", served.compute_s)
        for stage, seconds in (*stages, ("serialize", served.serialize_s)):
            child = self._tracer.start_span(stage, inside, start_time=at_ns)
            at_ns += int(seconds * 1e9)
            child.end(at_ns)
        span.end(at_ns)

    def close(self) -> None:
        """Send what is waiting to be sent."""
        self._provider.shutdown()
