"""The Open Inference Protocol as its real clients speak it: over HTTP and gRPC, each synchronous and asynchronous."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import pytest

from dure import Document, DocumentArray, Executor, Flow, requests
from tests.e2e.triton import KOREAN, ask, connect, library, open_flow, output, speaks_http, status_of, tensor, texts


@pytest.fixture(scope="module")
def flow() -> Iterator[Flow]:
    with open_flow() as running:
        yield running


@pytest.fixture(name="http")
def http_client(flow: Flow) -> Iterator[Any]:
    with connect(flow, "http") as client:
        yield client


@pytest.fixture(name="grpc")
def grpc_client(flow: Flow) -> Iterator[Any]:
    with connect(flow, "grpc") as client:
        yield client


@pytest.fixture(params=["http", "grpc"])
def client(request: pytest.FixtureRequest, flow: Flow) -> Iterator[Any]:
    with connect(flow, request.param) as found:
        yield found


@pytest.fixture(params=["http", "grpc"])
async def aio(request: pytest.FixtureRequest, flow: Flow) -> AsyncIterator[Any]:
    async with connect(flow, request.param, aio=True) as found:
        yield found


# -- requests and answers --------------------------------------------------------------------------------------------


def test_texts_to_embeddings(client: Any) -> None:
    result = client.infer("encode", [texts(client, KOREAN, "b")], request_id="이름", parameters={"factor": 2})
    np.testing.assert_array_equal(result.as_numpy("embedding"), np.array([[12, 0.1], [2, 0.1]], np.float32))
    assert [text.decode() for text in result.as_numpy("text")] == [KOREAN, "b"]
    answer = result.get_response() if speaks_http(client) else result.get_response(as_json=True)
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("encode", "1", "이름")


async def test_texts_to_embeddings_from_an_event_loop(aio: Any) -> None:
    results = await asyncio.gather(*[aio.infer("encode", [texts(aio, KOREAN[:n])]) for n in range(1, 5)])
    assert [result.as_numpy("embedding")[0, 0] for result in results] == [1, 2, 3, 4]
    assert await aio.is_server_live()
    assert await aio.is_server_ready()
    assert await aio.is_model_ready("encode")


def test_everything_as_json(http: Any) -> None:
    outputs = [output(http, name, binary_data=False) for name in ("embedding", "text", "id")]
    given = [texts(http, KOREAN, binary_data=False), texts(http, "7", name="id", binary_data=False)]
    result = http.infer("encode", given, outputs=outputs)
    data = {one["name"]: one["data"] for one in result.get_response()["outputs"]}
    assert data == {"embedding": [6.0, 0.1], "text": [KOREAN], "id": ["7"]}
    np.testing.assert_array_equal(result.as_numpy("embedding"), np.array([[6, 0.1]], np.float32))


def test_binary_and_json_in_one_answer(http: Any) -> None:
    outputs = [output(http, "text", binary_data=False), output(http, "embedding")]
    result = http.infer("encode", [texts(http, KOREAN)], outputs=outputs)
    assert result.as_numpy("text").tolist() == [KOREAN]
    assert result.as_numpy("embedding").shape == (1, 2)


@pytest.mark.parametrize("dtype", ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
def test_tensors_of_every_type(client: Any, dtype: str) -> None:
    array = np.arange(12).reshape(2, 3, 2).astype(dtype)
    found = client.infer("same/as/before", [tensor(client, array)]).as_numpy("tensor")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_a_client_made_for_another_model(client: Any) -> None:
    doubled = client.infer("double", [tensor(client, np.array([[1.5]], np.float32), "INPUT0")])
    assert doubled.as_numpy("tensor").tolist() == [[3.0]]
    encoded = client.infer("encode", [tensor(client, np.array([["abc"]], np.object_), "INPUT0")])
    assert encoded.as_numpy("embedding")[0, 0] == 3


def test_an_empty_tensor(client: Any) -> None:
    result = client.infer("double", [tensor(client, np.zeros((0, 3), np.float32))])
    assert result.as_numpy("tensor").shape == (0, 3)


def test_large_requests(client: Any) -> None:
    array = np.random.default_rng(0).random((64, 384), np.float32)
    np.testing.assert_array_equal(client.infer("double", [tensor(client, array)]).as_numpy("tensor"), array * 2)
    status, message = status_of(lambda: client.infer("double", [tensor(client, np.zeros((300, 1000), np.float32))]))
    assert status in ("413", "RESOURCE_EXHAUSTED")
    assert "max_request_bytes" in message


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("rows", [1, 500], ids=["small", "large"])
def test_compression(http: Any, algorithm: str, rows: int) -> None:
    array = np.ones((rows, 100), np.float32)
    settings = {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}
    result = http.infer("double", [tensor(http, array)], **settings)
    np.testing.assert_array_equal(result.as_numpy("tensor"), array * 2)


async def test_compression_from_an_event_loop(aio: Any) -> None:
    http = speaks_http(aio)
    names = ["request_compression_algorithm", "response_compression_algorithm"] if http else ["compression_algorithm"]
    result = await aio.infer("encode", [texts(aio, *[KOREAN] * 200)], **dict.fromkeys(names, "gzip"))
    assert result.as_numpy("embedding")[199, 0] == 6


@pytest.mark.parametrize(
    ("wanted", "unpack"),
    [("gzip", gzip.decompress), ("deflate", zlib.decompress), ("gzip, deflate, br", None), ("br", None)],
)
def test_who_wants_compression_names_it_alone(flow: Flow, wanted: str, unpack: Callable[[bytes], bytes] | None) -> None:
    given = {"name": "text", "datatype": "BYTES", "shape": [100], "data": [KOREAN] * 100}
    body = json.dumps({"inputs": [given]}).encode()
    status, headers, answer = ask(flow, "POST", "/v2/models/encode/infer", body, accept_encoding=wanted)
    assert status == 200
    assert headers["content-encoding"] == (wanted if unpack else None)
    assert json.loads(unpack(answer) if unpack else answer)["outputs"][0]["data"] == [KOREAN] * 100


def test_what_a_method_returns_as_a_dict(client: Any) -> None:
    result = client.infer(
        "count", [texts(client, "a", "b")], parameters={"text": "가", "whole": 3, "real": 0.5, "no": False}
    )
    answer = result.get_response() if speaks_http(client) else result.get_response(as_json=True)
    told = answer["parameters"]["results"]
    results = json.loads(told if isinstance(told, str) else told["string_param"])
    assert results == {"executor0": {"count": 2, "parameters": {"text": "가", "whole": 3, "real": 0.5, "no": False}}}


def test_priority_and_version(client: Any) -> None:
    result = client.infer("encode", [texts(client, "abc")], model_version="1", priority=1)
    assert result.as_numpy("embedding")[0, 0] == 3


def test_parts_of_an_answer_are_one_answer_without_a_stream(client: Any) -> None:
    assert client.infer("words", [texts(client, "a b c")]).as_numpy("text").tolist() == [b"a", b"b", b"c"]


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "settings", "statuses", "words"),
    [
        ("encod", {}, ("404", "NOT_FOUND"), "Did you mean 'encode'"),
        ("encode", {"model_version": "2"}, ("404", "NOT_FOUND"), "version 1 only"),
        ("fail", {}, ("500", "INTERNAL"), "ZeroDivisionError: 오류"),
        ("slow", {"timeout": 50_000}, ("504", "DEADLINE_EXCEEDED"), "0.05 s"),
        ("encode", {"sequence_id": 3}, ("422", "INVALID_ARGUMENT"), "sequence"),
    ],
    ids=["model", "version", "fail", "deadline", "sequence"],
)
def test_errors(client: Any, model: str, settings: dict[str, Any], statuses: tuple[str, str], words: str) -> None:
    status, message = status_of(lambda: client.infer(model, [texts(client, "a")], **settings))
    assert status == statuses[not speaks_http(client)]
    assert words in message
    assert "Traceback" not in message


def test_errors_of_inputs_and_outputs(client: Any) -> None:
    expected = "422" if speaks_http(client) else "INVALID_ARGUMENT"
    wrong = output(client, "embeding")
    classes = output(client, "embedding", class_count=3)
    given = texts(client, "a")
    for call, words in (
        (lambda: client.infer("encode", [given], outputs=[wrong]), "Did you mean 'embedding'"),
        (lambda: client.infer("encode", [given], outputs=[classes]), "classification"),
        (lambda: client.infer("encode", [given, texts(client, "b", name="texts")]), "no input is named 'texts'"),
        (lambda: client.infer("encode", [given, texts(client, "b", "c", name="id")]), "as long"),
    ):
        status, message = status_of(call)
        assert status == expected
        assert words in message


def test_an_output_that_is_not_set_has_no_columns(client: Any) -> None:
    result = client.infer("same/as/before", [texts(client, "a", "b")], outputs=[output(client, "embedding")])
    found = result.as_numpy("embedding")
    assert found.shape == (2, 0)
    assert found.dtype == np.float32


def test_numbers_that_json_lacks(http: Any) -> None:
    wanted = [output(http, "embedding", binary_data=False)]
    status, message = status_of(lambda: http.infer("nan", [texts(http, "a")], outputs=wanted))
    assert status == "422"
    assert "binary_data" in message
    assert np.isnan(http.infer("nan", [texts(http, "a")]).as_numpy("embedding")).all()


def test_a_deadline_of_grpc(grpc: Any) -> None:
    assert status_of(lambda: grpc.infer("slow", [texts(grpc, "a")], client_timeout=0.05))[0] == "DEADLINE_EXCEEDED"


def test_shared_memory_traces_and_logs_are_refused(client: Any) -> None:
    expected = "501" if speaks_http(client) else "UNIMPLEMENTED"
    for call in (
        client.get_system_shared_memory_status,
        client.get_cuda_shared_memory_status,
        lambda: client.register_system_shared_memory("a", "/a", 4),
        client.get_trace_settings,
        client.get_log_settings,
    ):
        assert status_of(call)[0] == expected
    given = library(client).InferInput("text", [1], "BYTES")
    given.set_shared_memory("a", 4)
    assert "shared_memory" in status_of(lambda: client.infer("encode", [given]))[1]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/encode/infer", 405),
        ("POST", "/v2/models/encode", 405),
        ("POST", "/v2/health/live", 405),
        ("GET", "/v2/repository/index", 405),
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/models/encode/versions/x", 404),
        ("POST", "/v2/models/encode/generate", 501),
        ("GET", "/v2/models/encode/versions/1/ready", 200),
        ("GET", "/v2/models/same%2Fas%2Fbefore/ready", 200),
        ("GET", "/v2/", 200),
    ],
)
def test_paths_and_methods(flow: Flow, method: str, path: str, status: int) -> None:
    found, headers, answer = ask(flow, method, path)
    assert found == status
    if status != 200:
        assert isinstance(json.loads(answer)["error"], str)
        assert ("allow" in headers) == (status == 405)


# -- Flows of several Executors --------------------------------------------------------------------------------------


class Split(Executor):
    @requests
    def split(self, docs: DocumentArray, **kwargs: Any) -> None:
        for doc in docs:
            doc.chunks = DocumentArray(Document(word) for word in doc.text.split())


class Lengths(Executor):
    @requests
    def lengths(self, docs: DocumentArray, **kwargs: Any) -> None:
        for doc in docs:
            doc.tensor = np.array([len(chunk.text) for chunk in doc.chunks], np.int64)


class Shout(Executor):
    @requests
    def shout(self, docs: DocumentArray, **kwargs: Any) -> None:
        for doc in docs:
            doc.tags["shout"] = doc.text.upper()


def test_branches_and_what_only_executors_see() -> None:
    """Chunks do not travel to the client, but from one Executor to the next; branches are joined by id."""
    flow = (
        Flow(protocol=["http", "grpc"])
        .add(uses=Split, name="split")
        .add(uses=Lengths, name="lengths", needs="split")
        .add(uses=Shout, name="shout", needs="gateway")
        .add(uses=Executor, name="both", needs=["lengths", "shout"])
    )
    with flow, connect(flow, "http") as client:
        outputs = [output(client, "tensor"), output(client, "tags", binary_data=False)]
        result = client.infer("anything", [texts(client, "ab cde", "f ghij")], outputs=outputs)
        assert result.as_numpy("tensor").tolist() == [[2, 3], [1, 4]]
        assert [json.loads(tags) for tags in result.as_numpy("tags")] == [{"shout": "AB CDE"}, {"shout": "F GHIJ"}]
        assert client.is_model_ready("default")
