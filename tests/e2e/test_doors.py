"""gRPC, HTTP and WebSocket give the same answers, errors, deadlines and order: one suite for all doors."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest

from dure import Document, DocumentArray, Executor, Flow, batching, requests
from dure.document import dure_pb2 as pb
from tests.e2e.doors import DOORS, call

ALL = pytest.mark.parametrize("door", DOORS)


@dataclass
class Times:
    times: int = 1


class Everything(Executor):
    """Answers in every way there is."""

    @requests(on="/echo")
    @batching()
    def echo(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Give back what came."""

    @requests(on="/repeat")
    def repeat(self, docs: DocumentArray, parameters: Times) -> None:
        """Say every text several times over."""
        for doc in docs:
            doc.text *= parameters.times

    @requests(on="/given")
    def given(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        """Show the parameters."""
        docs[0].tags = {
            "kinds": {name: type(value).__name__ for name, value in parameters.items()},
            "given": parameters,
        }

    @requests(on="/embed")
    def embed(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Embed by length."""
        docs.embeddings = np.array([[len(text), 0.1] for text in docs.texts], np.float32)

    @requests(on="/nan")
    def nan(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Give what JSON does not have."""
        docs[0].embedding = np.array([1.0, np.nan], np.float32)

    @requests(on="/fewer")
    def fewer(self, docs: DocumentArray, **kwargs: Any) -> DocumentArray:
        """Keep every other document."""
        return docs[::2]

    @requests(on="/dict")
    @batching(max_batch_size=1)
    def told(self, docs: DocumentArray, **kwargs: Any) -> dict[str, Any]:
        """Tell how many there were."""
        return {"count": len(docs), "where": "부엌"}

    @requests(on="/fail")
    def fail(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Fail."""
        raise KeyError("냄비")

    @requests(on="/sleep")
    def sleep(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Take half a second."""
        time.sleep(0.5)

    @requests(on="/parts")
    async def parts(self, docs: DocumentArray, **kwargs: Any) -> Any:
        """Yield the words."""
        for word in docs[0].text.split():
            yield Document(word)


@pytest.fixture(scope="module")
def flow() -> Iterator[Flow]:
    settings = {"protocol": list(DOORS), "max_request_bytes": 2**20}
    with Flow(**settings).add(uses=Everything, name="all", timeout_ready_s=20) as running:
        yield running


WHOLE = {
    "id": "one",
    "text": "여럿이 한 일 🥘",
    "blob": "AAECAw==",
    "tags": {"int": 3, "float": 0.5, "none": None, "list": [1, "둘", True], "inner": {"deep": [[]]}},
    "scores": {"cosine": 0.25},
    "uri": "file:///nowhere",
    "mime_type": "text/plain",
    "tensor": [[1, 2], [3, 4]],
    "embedding": [0.5, -1.25],
    "chunks": [{"id": "inner", "text": "안", "embedding": [1.0]}],
    "matches": [{"id": "other", "scores": {"cosine": 0.125}}],
}


@ALL
def test_a_document_comes_back_as_it_was(flow: Flow, door: str) -> None:
    (back,) = call(door, flow, "/echo", [WHOLE]).docs
    assert back == WHOLE


@ALL
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "float64"])
@pytest.mark.parametrize("shape", [(0,), (3,), (2, 0), (2, 3, 4)])
def test_arrays_keep_their_type_and_shape(flow: Flow, door: str, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    document = Document(id="a", tensor=array)
    (back,) = call(door, flow, "/echo", [document.to_dict()]).docs
    made = Document.from_dict(back).tensor
    assert (made.dtype, made.shape) == (array.dtype, array.shape)
    assert np.array_equal(made, array)


@ALL
def test_many_come_back_in_order(flow: Flow, door: str) -> None:
    data = [{"id": str(i), "text": f"text {i}"} for i in range(300)]
    assert call(door, flow, "/echo", data).docs == data


@ALL
def test_a_document_may_be_its_text(flow: Flow, door: str) -> None:
    assert [doc["embedding"] for doc in call(door, flow, "/embed", ["a", "둘둘"]).docs] == [
        pytest.approx([1, 0.1]),
        pytest.approx([2, 0.1]),
    ]


@ALL
def test_there_may_be_more_or_fewer_or_none(flow: Flow, door: str) -> None:
    assert [doc["text"] for doc in call(door, flow, "/fewer", ["a", "b", "c"]).docs] == ["a", "c"]
    assert [doc["text"] for doc in call(door, flow, "/parts", ["a b c"]).docs] == ["a", "b", "c"]


@ALL
def test_parameters_keep_their_types(flow: Flow, door: str) -> None:
    parameters = {"int": 3, "float": 3.0, "text": "3", "none": None, "list": [1.5], "dict": {"a": True}}
    (back,) = call(door, flow, "/given", ["x"], parameters=parameters).docs
    assert back["tags"]["given"] == parameters
    assert back["tags"]["kinds"]["int"] == "int"
    assert back["tags"]["kinds"]["float"] == "float"


@ALL
def test_parameters_are_of_the_type_that_the_method_names(flow: Flow, door: str) -> None:
    assert call(door, flow, "/repeat", ["ab"], parameters={"times": 2}).docs[0]["text"] == "abab"
    assert call(door, flow, "/repeat", ["ab"]).docs[0]["text"] == "ab"
    error = call(door, flow, "/repeat", ["ab"], parameters={"times": "twice"}).error
    assert error is not None
    assert error["code"] == "parameters"
    assert "Expected `int`, got `str` - at `$.times`" in error["message"]


@ALL
def test_a_dict_is_told_beside_the_documents(flow: Flow, door: str) -> None:
    assert call(door, flow, "/dict", ["a", "b"]).results == {"all": {"count": 2, "where": "부엌"}}


@ALL
@pytest.mark.parametrize(
    ("endpoint", "code", "words"),
    [
        ("/nowhere", "endpoint_not_found", "no Executor of this Flow answers '/nowhere'"),
        ("/fail", "executor", "all failed at /fail: KeyError: '냄비'"),
    ],
)
def test_errors_are_the_same(flow: Flow, door: str, endpoint: str, code: str, words: str) -> None:
    error = call(door, flow, endpoint, ["x"]).error
    assert error is not None
    assert error["code"] == code
    assert words in error["message"]


@pytest.mark.parametrize("door", ["http", "websocket"])
def test_what_json_does_not_have_is_an_error(flow: Flow, door: str) -> None:
    error = call(door, flow, "/nan", ["x"]).error
    assert error is not None
    assert error["code"] == "executor"
    assert "nan, which JSON does not have" in error["message"]


@ALL
def test_a_deadline_ends_a_request(flow: Flow, door: str) -> None:
    begin = time.monotonic()
    error = call(door, flow, "/sleep", ["x"], timeout_s=0.1).error
    assert error is not None
    assert error["code"] == "deadline_exceeded"
    assert time.monotonic() - begin < 0.45


@ALL
def test_a_request_that_is_too_large_is_refused(flow: Flow, door: str) -> None:
    if door == "websocket":
        pytest.skip("the connection ends with 1009: see test_websocket.py")
    error = call(door, flow, "/echo", ["x" * 2**21]).error
    assert error is not None
    assert error["code"] == "too_large"
    assert "1,048,576" in error["message"]


class Mark(Executor):
    """Adds its name to the scores."""

    @requests(on="/mark")
    def mark(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Mark."""
        for doc in docs:
            doc.scores[self.runtime_args.name] = len(doc.scores)


@pytest.mark.parametrize("with_first", [False, True])
@ALL
def test_branches_are_joined_though_the_client_gives_no_ids(door: str, *, with_first: bool) -> None:
    flow = Flow(protocol=list(DOORS))
    if with_first:
        flow = flow.add(uses=Mark, name="first", timeout_ready_s=20)
    needs = "first" if with_first else "gateway"
    flow = flow.add(uses=Mark, name="one", needs=needs, timeout_ready_s=20)
    flow = flow.add(uses=Mark, name="two", needs=needs, timeout_ready_s=20)
    with flow.needs_all(name="end", timeout_ready_s=20) as running:
        back = call(door, running, "/mark", ["a", "b"]).docs
        assert [doc["text"] for doc in back] == ["a", "b"]
        assert all({"one", "two"} <= doc["scores"].keys() for doc in back)
        bare = pb.Documents(rows=2, text=["a", "b"]).SerializeToString()
        with grpc.insecure_channel(f"127.0.0.1:{running.ports['grpc']}") as channel:
            post: Any = channel.unary_unary(
                "/dure.v1.Flow/Post",
                request_serializer=pb.RequestEnvelope.SerializeToString,
                response_deserializer=pb.ReplyEnvelope.FromString,
            )
            reply = post(pb.RequestEnvelope(endpoint="/mark", documents=bare))
        assert pb.Documents.FromString(reply.documents).text == ["a", "b"]
