"""The Open Inference Protocol as its real clients speak it: over HTTP and gRPC, each synchronous and asynchronous."""

import asyncio
import contextlib
import gzip
import http.client
import json
import queue
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
from tritonclient.utils import InferenceServerException

from dure import Document, DocumentArray, Executor, Flow, requests

KOREAN = "여럿이 함께"


class Encoder(Executor):
    @requests(on="/encode")
    def encode(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        factor = parameters.get("factor", 1)
        docs.embeddings = np.array([[len(text) * factor, 0.1] for text in docs.texts], np.float32).reshape(-1, 2)

    @requests(on="/same/as/before")
    def same(self, docs: DocumentArray, **kwargs: Any) -> None: ...

    @requests(on="/double")
    def double(self, docs: DocumentArray, **kwargs: Any) -> None:
        docs.tensors = docs.tensors * 2

    @requests(on="/nan")
    def nan(self, docs: DocumentArray, **kwargs: Any) -> None:
        docs.embeddings = np.full((len(docs), 2), np.nan, np.float32)

    @requests(on="/count")
    def count(self, docs: DocumentArray, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"count": len(docs), "parameters": parameters}

    @requests(on="/slow")
    def slow(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        time.sleep(parameters.get("seconds", 0.5))

    @requests(on="/fail")
    def fail(self, docs: DocumentArray, **kwargs: Any) -> None:
        raise ZeroDivisionError("오류")

    @requests(on="/words")
    def words(self, docs: DocumentArray, parameters: dict[str, Any]) -> Iterator[Document]:
        for i, word in enumerate(docs[0].text.split()):
            if i == parameters.get("fail_at"):
                raise ValueError("no more words")
            yield Document(word)


@pytest.fixture(scope="module")
def flow() -> Iterator[Flow]:
    with Flow(protocol=["http", "grpc"], max_request_bytes=2**20).add(uses=Encoder, timeout_ready_s=20) as running:
        yield running


def url(flow: Flow, protocol: str) -> str:
    return f"127.0.0.1:{flow.ports[protocol]}"


@pytest.fixture(name="http")
def http_client(flow: Flow) -> Iterator[Any]:
    with triton_http.InferenceServerClient(url(flow, "http")) as client:
        yield client


@pytest.fixture
def grpc(flow: Flow) -> Iterator[Any]:
    with triton_grpc.InferenceServerClient(url(flow, "grpc")) as client:
        yield client


@pytest.fixture(params=["http", "grpc"])
def client(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["http", "grpc"])
async def aio(request: pytest.FixtureRequest, flow: Flow) -> AsyncIterator[Any]:
    module = triton_http_aio if request.param == "http" else triton_grpc_aio
    async with module.InferenceServerClient(url(flow, request.param)) as found:
        yield found


def library(client: Any) -> Any:
    return triton_http if "http" in type(client).__module__ else triton_grpc


def tensor(client: Any, array: np.ndarray, name: str = "tensor", **settings: Any) -> Any:
    from tritonclient.utils import np_to_triton_dtype

    given = library(client).InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    return given.set_data_from_numpy(array, **settings)


def texts(client: Any, *values: str, name: str = "text", **settings: Any) -> Any:
    return tensor(client, np.array(values, dtype=np.object_), name, **settings)


def output(client: Any, name: str, **settings: Any) -> Any:
    return library(client).InferRequestedOutput(name, **settings)


def ask(
    flow: Flow, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Ask without a client's library: status, headers, body."""
    with contextlib.closing(http.client.HTTPConnection(url(flow, "http"), timeout=20)) as connection:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def status_of(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(InferenceServerException) as caught:
        call()
    return caught.value.status().removeprefix("StatusCode."), caught.value.message()


# -- requests and answers --------------------------------------------------------------------------------------------


def test_texts_to_embeddings(client: Any) -> None:
    result = client.infer("encode", [texts(client, KOREAN, "b")], request_id="이름", parameters={"factor": 2})
    np.testing.assert_array_equal(result.as_numpy("embedding"), np.array([[12, 0.1], [2, 0.1]], np.float32))
    assert [text.decode() for text in result.as_numpy("text")] == [KOREAN, "b"]
    answer = result.get_response() if library(client) is triton_http else result.get_response(as_json=True)
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
    http = "http" in type(aio).__module__
    names = ["request_compression_algorithm", "response_compression_algorithm"] if http else ["compression_algorithm"]
    result = await aio.infer("encode", [texts(aio, KOREAN)], **dict.fromkeys(names, "gzip"))
    assert result.as_numpy("embedding")[0, 0] == 6


@pytest.mark.parametrize(
    ("wanted", "unpack"),
    [("gzip", gzip.decompress), ("deflate", zlib.decompress), ("gzip, deflate, br", None), ("br", None)],
)
def test_who_wants_compression_names_it_alone(flow: Flow, wanted: str, unpack: Callable[[bytes], bytes] | None) -> None:
    given = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [KOREAN]}
    body = json.dumps({"inputs": [given]}).encode()
    status, headers, answer = ask(flow, "POST", "/v2/models/encode/infer", body, accept_encoding=wanted)
    assert status == 200
    assert headers["content-encoding"] == (wanted if unpack else None)
    assert json.loads(unpack(answer) if unpack else answer)["outputs"][0]["data"] == [KOREAN]


def test_what_a_method_returns_as_a_dict(client: Any) -> None:
    result = client.infer(
        "count", [texts(client, "a", "b")], parameters={"text": "가", "whole": 3, "real": 0.5, "no": False}
    )
    answer = result.get_response() if library(client) is triton_http else result.get_response(as_json=True)
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
    assert status == statuses[library(client) is triton_grpc]
    assert words in message
    assert "Traceback" not in message


def test_errors_of_inputs_and_outputs(client: Any) -> None:
    expected = "422" if library(client) is triton_http else "INVALID_ARGUMENT"
    wrong = output(client, "embeding")
    classes = output(client, "embedding", class_count=3)
    given = texts(client, "a")
    for call, words in (
        (lambda: client.infer("encode", [given], outputs=[wrong]), "Did you mean 'embedding'"),
        (lambda: client.infer("encode", [given], outputs=[classes]), "classification"),
        (lambda: client.infer("encode", [given, texts(client, "b", name="texts")]), "no input is named 'texts'"),
        (lambda: client.infer("encode", [given, texts(client, "b", "c", name="id")]), "as long"),
        (lambda: client.infer("same/as/before", [given], outputs=[output(client, "embedding")]), "is not set"),
    ):
        status, message = status_of(call)
        assert status == expected
        assert words in message


def test_numbers_that_json_lacks(http: Any) -> None:
    wanted = [output(http, "embedding", binary_data=False)]
    status, message = status_of(lambda: http.infer("nan", [texts(http, "a")], outputs=wanted))
    assert status == "422"
    assert "binary_data" in message
    assert np.isnan(http.infer("nan", [texts(http, "a")]).as_numpy("embedding")).all()


def test_a_deadline_of_grpc(grpc: Any) -> None:
    assert status_of(lambda: grpc.infer("slow", [texts(grpc, "a")], client_timeout=0.05))[0] == "DEADLINE_EXCEEDED"


def test_shared_memory_traces_and_logs_are_refused(client: Any) -> None:
    expected = "501" if library(client) is triton_http else "UNIMPLEMENTED"
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


# -- what is told of models ------------------------------------------------------------------------------------------


def test_health(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("encode")
    assert client.is_model_ready("encode", "1")


def told(client: Any, name: str, *arguments: Any) -> Any:
    return getattr(client, name)(*arguments, **({} if library(client) is triton_http else {"as_json": True}))


def test_metadata_and_configuration_agree(client: Any) -> None:
    assert told(client, "get_server_metadata")["name"] == "dure"
    metadata = told(client, "get_model_metadata", "encode")
    config = told(client, "get_model_config", "encode")
    config = config.get("config", config)
    for kind in ("input", "output"):
        dims = {one["name"]: [int(n) for n in one.get("dims", [])] for one in config[kind]}
        shapes = {one["name"]: [int(n) for n in one["shape"]] for one in metadata[f"{kind}s"]}
        assert shapes == {name: [-1, *rest] for name, rest in dims.items()}
        assert {"text", "embedding", "tensor"} <= shapes.keys()
    assert int(config["max_batch_size"]) == 64
    words = told(client, "get_model_config", "words")
    assert words.get("config", words)["model_transaction_policy"] == {"decoupled": True}


def test_repository(client: Any) -> None:
    index = told(client, "get_model_repository_index")
    index = index if isinstance(index, list) else index["models"]
    states = {one["name"]: (one["version"], one["state"]) for one in index}
    assert states["same/as/before"] == ("1", "READY")
    client.load_model("encode")
    for call, words in (
        (lambda: client.unload_model("encode"), "not taken away from outside"),
        (lambda: client.load_model("encode", config="{}"), "not loaded from outside"),
    ):
        status, message = status_of(call)
        assert status in ("403", "PERMISSION_DENIED")
        assert words in message
    assert status_of(lambda: client.load_model("nothing"))[0] in ("404", "NOT_FOUND")


def test_index_of_what_is_ready(flow: Flow) -> None:
    every, ready = (json.loads(ask(flow, "POST", "/v2/repository/index", b)[2]) for b in (b"", b'{"ready": true}'))
    assert every == ready
    assert {one["state"] for one in every} == {"READY"}
    assert ask(flow, "POST", "/v2/repository/index", b"[1]")[0] == 400


def counts(client: Any, model: str) -> dict[str, Any]:
    [found] = told(client, "get_inference_statistics", model)["model_stats"]
    stats = {name: int(value.get("count", 0)) for name, value in found["inference_stats"].items()}
    return {**stats, "inferences": int(found.get("inference_count", 0)), "executions": int(found["execution_count"])}


def test_statistics_count_what_was_asked(client: Any) -> None:
    before = counts(client, "encode")
    started = time.time_ns() // 10**6
    for _ in range(3):
        client.infer("encode", [texts(client, "a", "b")])
    after = counts(client, "encode")
    grown = {name: after[name] - before[name] for name in after}
    stages = ("success", "queue", "compute_input", "compute_infer", "compute_output", "executions")
    assert grown == {**dict.fromkeys(stages, 3), "inferences": 6, "fail": 0, "cache_hit": 0, "cache_miss": 0}
    [found] = told(client, "get_inference_statistics", "encode")["model_stats"]
    assert started - 1000 <= int(found["last_inference"]) <= time.time_ns() // 10**6 + 1000
    assert int(found["inference_stats"]["success"]["ns"]) > int(found["inference_stats"]["compute_infer"]["ns"]) > 0
    assert {int(one["batch_size"]) for one in found["batch_stats"]} >= {2}
    names = [one["name"] for one in told(client, "get_inference_statistics")["model_stats"]]
    assert {"encode", "words"} <= set(names)


def test_statistics_count_failures(client: Any) -> None:
    before = counts(client, "fail")
    status_of(lambda: client.infer("fail", [texts(client, "a")]))
    after = counts(client, "fail")
    assert (after["fail"] - before["fail"], after["success"]) == (1, 0)


# -- streams -----------------------------------------------------------------------------------------------------------


class Answers:
    """What comes back on a stream, as (id, texts or None, whether it is the last) or an error's message."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue()

    def __call__(self, result: Any, error: Any) -> None:
        self._queue.put(error.message() if error is not None else seen(result))

    def take(self, count: int) -> list[Any]:
        return [self._queue.get(timeout=20) for _ in range(count)]


def seen(result: Any) -> tuple[str, Any, bool]:
    response = result.get_response()
    found = result.as_numpy("text")
    values = None if found is None else [text.decode() for text in found]
    return response.id, values, response.parameters["triton_final_response"].bool_param


@pytest.fixture
def answers(grpc: Any) -> Iterator[Answers]:
    found = Answers()
    grpc.start_stream(found)
    yield found
    grpc.stop_stream()


def test_a_generator_answers_a_stream_in_parts(grpc: Any, answers: Answers) -> None:
    grpc.async_stream_infer("words", [texts(grpc, "a 나")], request_id="1", enable_empty_final_response=True)
    assert answers.take(3) == [("1", ["a"], False), ("1", ["나"], False), ("1", None, True)]
    grpc.async_stream_infer("words", [texts(grpc, "c")], request_id="2")
    assert answers.take(1) == [("2", ["c"], False)]


def test_a_stream_survives_errors(grpc: Any, answers: Answers) -> None:
    grpc.async_stream_infer("words", [texts(grpc, "a b")], parameters={"fail_at": 1})
    part, error = answers.take(2)
    assert part == ("", ["a"], False)
    assert "no more words" in error
    grpc.async_stream_infer("nothing", [texts(grpc, "a")])
    assert "no model" in answers.take(1)[0]
    grpc.async_stream_infer("slow", [texts(grpc, "a")], timeout=50_000)
    assert "0.05 s" in answers.take(1)[0]
    grpc.async_stream_infer("encode", [texts(grpc, "a")], request_id="3")
    assert answers.take(1) == [("3", ["a"], True)]


def test_a_stream_is_answered_in_order(grpc: Any, answers: Answers) -> None:
    """Also when a later request is refused at once, or is done sooner."""
    grpc.async_stream_infer("slow", [texts(grpc, "slow")], request_id="1", parameters={"seconds": 0.3})
    grpc.async_stream_infer("nothing", [texts(grpc, "wrong")], request_id="2")
    for i in range(3, 9):
        grpc.async_stream_infer("encode", [texts(grpc, str(i))], request_id=str(i))
    first, second, *rest = answers.take(8)
    assert first == ("1", ["slow"], True)
    assert "no model" in second
    assert rest == [(str(i), [str(i)], True) for i in range(3, 9)]


async def test_a_stream_from_an_event_loop(flow: Flow) -> None:
    async def asked(client: Any) -> AsyncIterator[dict[str, Any]]:
        for i in range(3):
            yield {"model_name": "encode", "inputs": [texts(client, f"{i}")], "request_id": str(i)}

    async with triton_grpc_aio.InferenceServerClient(url(flow, "grpc")) as client:
        found = [(seen(result), error) async for result, error in client.stream_infer(asked(client))]
    assert found == [((str(i), [str(i)], True), None) for i in range(3)]


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
    with flow, triton_http.InferenceServerClient(url(flow, "http")) as client:
        outputs = [output(client, "tensor"), output(client, "tags", binary_data=False)]
        result = client.infer("anything", [texts(client, "ab cde", "f ghij")], outputs=outputs)
        assert result.as_numpy("tensor").tolist() == [[2, 3], [1, 4]]
        assert [json.loads(tags) for tags in result.as_numpy("tags")] == [{"shout": "AB CDE"}, {"shout": "F GHIJ"}]
        assert client.is_model_ready("default")
