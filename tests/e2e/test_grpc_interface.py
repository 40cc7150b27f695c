"""The public gRPC interface as another language would use it: the messages of `dure.proto`, health, reflection."""

import json
import math
import os
import queue
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import msgspec
import numpy as np
import psutil
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from dure import Document, DocumentArray, Executor, Flow, requests
from dure.document import dure_pb2 as pb
from dure.document import protobuf

SERVICE = "dure.v1.Flow"
MAX_REQUEST_BYTES = 2**20


class Served(Executor):
    def __init__(self, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if os.path.exists(path):
            time.sleep(1)
        open(path, "w").close()

    @requests(on="/upper")
    def upper(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        for doc in docs:
            doc.text = doc.text.upper()
            doc.tags["parameters"] = parameters
            doc.embedding = np.ones(3, np.float32)

    @requests(on="/fail")
    def fail(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        raise ValueError("오류" * parameters["times"])

    @requests(on="/slow")
    def slow(self, docs: DocumentArray, **kwargs: Any) -> None:
        time.sleep(0.4)

    @requests(on="/large")
    def large(self, docs: DocumentArray, **kwargs: Any) -> None:
        docs[0].blob = bytes(2**18)


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    path = tmp_path_factory.mktemp("served") / "was here"
    settings: dict[str, Any] = {"uses_with": {"path": str(path)}, "timeout_ready_s": 20}
    with Flow(max_request_bytes=MAX_REQUEST_BYTES).add(uses=Served, name="served", **settings) as running:
        yield running


@pytest.fixture
def channel(flow: Flow) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{flow.port}", [("grpc.max_receive_message_length", -1)]) as opened:
        yield opened


def method(channel: grpc.Channel, name: str) -> Any:
    if name == "Post":
        return channel.unary_unary(f"/{SERVICE}/Post", pb.Request.SerializeToString, pb.Reply.FromString)
    return channel.stream_stream(f"/{SERVICE}/Stream", pb.Requests.SerializeToString, pb.Replies.FromString)


def documents(*texts: str) -> pb.Documents:
    return pb.Documents(rows=len(texts), text=texts)


def test_post(channel: grpc.Channel) -> None:
    request = pb.Request(endpoint="/upper", parameters_json='{"k": 1, "x": 1.0}', documents=documents("a", "b"))
    reply = method(channel, "Post")(request)
    assert list(reply.documents.text) == ["A", "B"]
    assert [json.loads(tags) for tags in reply.documents.tags_json] == [{"parameters": {"k": 1, "x": 1.0}}] * 2
    assert '"k":1,"x":1.0' in reply.documents.tags_json[0]
    assert reply.documents.embedding.dtype == "<f4"
    assert list(reply.documents.embedding.shape) == [3]
    assert len(reply.documents.id) == 2


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (pb.Request(endpoint="/uper"), "NOT_FOUND", "endpoint_not_found"),
        (pb.Request(endpoint="/fail", parameters_json='{"times": 1}'), "INTERNAL", "executor"),
        (pb.Request(endpoint="/fail", parameters_json='{"times": 9000}'), "INTERNAL", "executor"),
        (pb.Request(endpoint="/upper", parameters_json="{"), "INVALID_ARGUMENT", "decode"),
        (pb.Request(endpoint="/upper", parameters_json="[1]"), "INVALID_ARGUMENT", "decode"),
        (pb.Request(endpoint="/upper", parameters_json='{"a": 1' + "0" * 30 + "}"), "INVALID_ARGUMENT", "decode"),
        (pb.Request(endpoint="/upper", documents=pb.Documents(rows=3, text=["a"])), "INVALID_ARGUMENT", "decode"),
        (pb.Request(endpoint="/upper", timeout_s=math.nan), "INVALID_ARGUMENT", "validation"),
        (pb.Request(endpoint="/upper", timeout_s=-1.0), "INVALID_ARGUMENT", "validation"),
        (pb.Request(endpoint="/upper", timeout_s=math.inf), "INVALID_ARGUMENT", "validation"),
        (
            pb.Request(endpoint="/upper", documents=pb.Documents(rows=1, blob=[bytes(MAX_REQUEST_BYTES)])),
            "RESOURCE_EXHAUSTED",
            "too_large",
        ),
    ],
    ids=["endpoint", "executor", "long", "json", "no object", "big int", "rows", "nan", "negative", "inf", "too large"],
)
def test_errors_of_post_are_statuses(channel: grpc.Channel, request_: pb.Request, status: str, code: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        method(channel, "Post")(request_)
    error: Any = caught.value
    assert error.code().name == status
    fields = msgspec.json.decode(dict(error.trailing_metadata())["dure-error-bin"])
    assert fields["code"] == code
    assert error.details()
    if code == "executor":
        assert "오류" in error.details()
        assert fields["remote_traceback"].rstrip().endswith("오류")


def test_a_post_whose_deadline_passes(channel: grpc.Channel) -> None:
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as caught:
            method(channel, "Post")(pb.Request(endpoint="/slow", documents=documents("a")), timeout=0.1)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    time.sleep(0.5)  # until it is answered
    assert method(channel, "Post")(pb.Request(endpoint="/upper", documents=documents("a"))).documents.text == ["A"]


def test_bytes_that_are_no_documents(channel: grpc.Channel) -> None:
    post = channel.unary_unary(f"/{SERVICE}/Post", pb.RequestEnvelope.SerializeToString, pb.ReplyEnvelope.FromString)
    with pytest.raises(grpc.RpcError) as caught:
        post(pb.RequestEnvelope(endpoint="/upper", documents=b"\xff\xff\xff"))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("unary_unary", f"/{SERVICE}/Post"),
        ("stream_stream", f"/{SERVICE}/Stream"),
        ("unary_unary", "/inference.GRPCInferenceService/ModelInfer"),
        ("unary_unary", "/inference.GRPCInferenceService/ServerLive"),
        ("unary_unary", "/grpc.health.v1.Health/Check"),
        ("stream_stream", "/inference.GRPCInferenceService/ModelStreamInfer"),
        ("stream_stream", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
    ],
)
def test_bytes_that_are_no_message(channel: grpc.Channel, kind: str, path: str) -> None:
    call = getattr(channel, kind)(path, bytes, bytes)
    with pytest.raises(grpc.RpcError, match="the message cannot be read") as caught:
        list(call(iter([b"\xff\xff"]))) if kind == "stream_stream" else call(b"\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def exchange(channel: grpc.Channel, *messages: Any) -> list[pb.Reply]:
    return [reply for replies in method(channel, "Stream")(iter(messages)) for reply in replies.replies]


def test_a_stream_answers_everything_and_ends(channel: grpc.Channel) -> None:
    many = [pb.Request(id=i, endpoint="/upper", documents=documents(f"t{i}")) for i in range(50)]
    replies = exchange(channel, pb.Requests(requests=many[:20]), *(pb.Requests(requests=[one]) for one in many[20:]))
    assert {reply.id: list(reply.documents.text) for reply in replies} == {i: [f"T{i}"] for i in range(50)}


def test_one_bad_request_of_a_stream_fails_alone(channel: grpc.Channel) -> None:
    good = documents("a")
    bad = [
        pb.Request(id=1, endpoint="/nowhere", documents=good),
        pb.Request(id=2, endpoint="/upper", parameters_json="nonsense", documents=good),
        pb.Request(id=3, endpoint="/upper", documents=pb.Documents(rows=7, text=["a"])),
        pb.Request(id=4, endpoint="/fail", parameters_json='{"times": 5000}', documents=good),
        pb.Request(id=5, endpoint="/upper", documents=pb.Documents(rows=1, blob=[bytes(MAX_REQUEST_BYTES)])),
        pb.Request(id=0, endpoint="/upper", documents=good),
    ]
    first = pb.Request(id=0, endpoint="/upper", documents=good)
    replies = exchange(
        channel, pb.Requests(requests=[first, *bad]), pb.Requests(requests=[pb.Request(id=9, endpoint="/upper")])
    )
    errors = {(reply.id, reply.error.code) for reply in replies if reply.HasField("error")}
    assert errors == {
        (1, "endpoint_not_found"),
        (2, "decode"),
        (3, "decode"),
        (4, "executor"),
        (5, "too_large"),
        (0, "decode"),  # the number was in use
    }
    assert {reply.id for reply in replies if not reply.HasField("error")} == {0, 9}
    traceback = next(reply.error.fields_json for reply in replies if reply.id == 4)
    assert len(json.loads(traceback)["remote_traceback"]) > 10_000, "in a stream it is whole"


def test_a_client_that_does_not_read_is_not_read_from(flow: Flow, channel: grpc.Channel) -> None:
    gateway = psutil.Process(flow.pids()["gateway"])
    before = gateway.memory_info().rss
    sent = 0

    def endless() -> Iterator[pb.Requests]:
        nonlocal sent
        while True:
            sent += 1
            yield pb.Requests(requests=[pb.Request(id=sent, endpoint="/large", documents=documents("x" * 1000))])

    call = method(channel, "Stream")(endless())
    next(call)
    time.sleep(2)
    grown = gateway.memory_info().rss - before
    call.cancel()
    assert grown < 150 * 2**20, f"{grown / 2**20:.0f} MiB of answers that nobody reads"


# -- health and reflection ---------------------------------------------------------------------------------------------


def test_reflection_tells_the_service(channel: grpc.Channel) -> None:
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
    ]
    listed, described = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter(asked))
    names = {service.name for service in listed.list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= names
    file = FileDescriptorProto.FromString(described.file_descriptor_response.file_descriptor_proto[0])
    (service,) = file.service
    assert {method.name: (method.input_type, method.output_type) for method in service.method} == {
        "Post": (".dure.v1.Request", ".dure.v1.Reply"),
        "Stream": (".dure.v1.Requests", ".dure.v1.Replies"),
        "Describe": (".dure.v1.DescribeRequest", ".dure.v1.Description"),
    }


def test_every_service_can_be_called_by_what_reflection_tells(channel: grpc.Channel) -> None:
    told: Any = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(told)
    for name in told.get_services():
        for each in pool.FindServiceByName(name).methods:
            assert each.input_type.fields is not None
            assert each.output_type.fields is not None
    infer = pool.FindServiceByName("inference.GRPCInferenceService").methods_by_name["ModelInfer"]
    request_class, answer_class = GetMessageClass(infer.input_type), GetMessageClass(infer.output_type)
    request: Any = request_class(model_name="upper")
    request.parameters["times"].int64_param = 3
    request.inputs.add(name="text", datatype="BYTES", shape=[1]).contents.bytes_contents.append(b"rice")
    call: Any = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer", request_class.SerializeToString, answer_class.FromString
    )
    answer = call(request)
    found = dict(zip([output.name for output in answer.outputs], answer.raw_output_contents, strict=True))
    assert found["text"] == b"\4\0\0\0RICE"
    assert json.loads(found["tags"][4:]) == {"parameters": {"times": 3}}


def test_health(flow: Flow, channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)

    def status(name: str) -> int:
        return int(stub.Check(health_pb2.HealthCheckRequest(service=name)).status)

    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    names = ("", SERVICE)
    assert [status(name) for name in names] == [serving] * 2
    os.kill(flow.pids()["served"], signal.SIGKILL)
    wait_until(lambda: [status(name) for name in names] == [not_serving] * 2)
    wait_until(lambda: [status(name) for name in names] == [serving] * 2)
    with pytest.raises(grpc.RpcError) as caught:
        status("no.such.Service")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_health_can_be_watched(flow: Flow, channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    watched = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
    assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
    os.kill(flow.pids()["served"], signal.SIGKILL)
    assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
    watched.cancel()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_parts_of_a_stream(tmp_path: Any) -> None:
    class Parts(Executor):
        @requests
        def parts(self, docs: DocumentArray, **kwargs: Any) -> Iterator[Document]:
            for letter in "abc":
                yield Document(text=letter)

    with Flow().add(uses=Parts, timeout_ready_s=20) as flow, grpc.insecure_channel(f"127.0.0.1:{flow.port}") as channel:
        outgoing: queue.SimpleQueue[pb.Requests | None] = queue.SimpleQueue()
        call = method(channel, "Stream")(iter(outgoing.get, None))
        outgoing.put(pb.Requests(requests=[pb.Request(id=1, endpoint="/", parts=True)]))
        outgoing.put(pb.Requests(requests=[pb.Request(id=2, endpoint="/", parts=False)]))
        outgoing.put(None)
        replies = [reply for message in call for reply in message.replies]
    parts = [(list(reply.documents.text), reply.part) for reply in replies if reply.id == 1]
    assert parts == [(["a"], True), (["b"], True), (["c"], True), ([], False)]
    assert [list(reply.documents.text) for reply in replies if reply.id == 2] == [["a", "b", "c"]]
    assert protobuf.decode(replies[0].documents.SerializeToString())[0].text == "a"
