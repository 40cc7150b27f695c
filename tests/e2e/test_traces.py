"""Spans of a running Flow, as they arrive at a collector: this one speaks OTLP's own messages."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from dure import DocumentArray, Executor, Flow, requests
from dure.document import dure_pb2 as pb
from tests.e2e.doors import post

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Step(Executor):
    @requests(on="/go")
    def go(self, docs: DocumentArray, **kwargs: Any) -> None:
        if docs[0].text == "fail":
            raise ValueError("no")


class Collector(HTTPServer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Any] = []
        self.paths: set[str] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        """Take spans."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.add(self.path)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def flow_to(collector: Collector, **settings: Any) -> Flow:
    flow = Flow(protocol=["http", "grpc"], traces_address=collector.address, **settings)
    return flow.add(uses=Step, name="one", timeout_ready_s=20).add(uses=Step, name="two", timeout_ready_s=20)


def named(spans: list[Any], name: str) -> Any:
    (found,) = [span for span in spans if span.name == name]
    return found


def test_a_request_is_a_tree_of_spans_that_hangs_on_its_clients(collector: Collector) -> None:
    with flow_to(collector) as flow:
        assert post(flow.ports["http"], "/go", {"data": ["a", "b"]}, {"traceparent": PARENT})[0] == 200
    spans = collector.spans
    assert collector.paths == {"/v1/traces"}
    assert {span.trace_id.hex() for span in spans} == {"0af7651916cd43dd8448eb211c80319c"}
    root, one, two = (named(spans, name) for name in ("/go", "one", "two"))
    assert root.parent_span_id.hex() == "b7ad6b7169203331"
    assert one.parent_span_id == two.parent_span_id == root.span_id
    for visit in (one, two):
        stages = sorted(
            (span for span in spans if span.parent_span_id == visit.span_id), key=lambda span: span.start_time_unix_nano
        )
        assert {span.name for span in stages} == {"queue", "wait", "compute", "serialize"}
        assert stages[0].start_time_unix_nano == visit.start_time_unix_nano
        assert max(span.end_time_unix_nano for span in stages) == visit.end_time_unix_nano
    assert root.start_time_unix_nano <= one.start_time_unix_nano <= one.end_time_unix_nano
    assert one.end_time_unix_nano <= two.start_time_unix_nano + 1_000_000
    assert two.end_time_unix_nano <= root.end_time_unix_nano + 1_000_000
    attributes = {item.key: item.value.int_value for item in one.attributes if item.value.HasField("int_value")}
    assert attributes == {"dure.replica": 0, "dure.batch_requests": 1, "dure.batch_rows": 2}


def test_over_grpc_and_of_a_request_that_fails(collector: Collector) -> None:
    with flow_to(collector) as flow, grpc.insecure_channel(f"127.0.0.1:{flow.ports['grpc']}") as channel:
        call: Any = channel.unary_unary(
            "/dure.v1.Flow/Post",
            request_serializer=pb.RequestEnvelope.SerializeToString,
            response_deserializer=pb.ReplyEnvelope.FromString,
        )
        documents = pb.Documents(rows=1, text=["fail"]).SerializeToString()
        with pytest.raises(grpc.RpcError):
            call(pb.RequestEnvelope(endpoint="/go", documents=documents), metadata=(("traceparent", PARENT),))
    root = named(collector.spans, "/go")
    assert root.parent_span_id.hex() == "b7ad6b7169203331"
    assert (root.status.code, "ValueError: no" in root.status.message) == (2, True)


def test_what_the_client_does_not_want_and_what_no_share_is_left_for_is_not_sent(collector: Collector) -> None:
    with flow_to(collector, traces_share=0.0) as flow:
        post(flow.ports["http"], "/go", {"data": ["a"]})
        post(flow.ports["http"], "/go", {"data": ["a"]}, {"traceparent": PARENT[:-2] + "00"})
        flow.post("/go", "a")
    assert collector.spans == []
