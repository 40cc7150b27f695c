"""A batch of requests becomes one call of a method, and its answer the answers of all: without processes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from dure.device.transfer import transfers
from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.document.forms import COLUMNS, PROTOBUF, decode_form, encode_form
from dure.errors import DecodeError, ExecutorError, from_wire
from dure.executor.base import Executor
from dure.executor.endpoints import batching, requests
from dure.transport.messages import JOIN, BatchCall, Item, Outcome, Spent
from dure.worker.metrics import Counters
from dure.worker.runner import Runner


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class Subject(Executor):
    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.closed = 0

    @requests(on="/upper")
    @batching(max_batch_size=100)
    def upper(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        self.sizes.append(len(docs))
        if "bad" in docs.texts:
            raise ValueError("bad text")
        docs.texts = [text.upper() + str(parameters.get("end", "")) for text in docs.texts]

    @requests(on="/branches")
    def branches(self, docs: DocumentArray, docs_matrix: list[DocumentArray] | None) -> DocumentArray:
        return DocumentArray([Document(text=str([len(branch) for branch in docs_matrix or ()])), *docs])

    @requests(on="/returns")
    def returns(self, docs: DocumentArray, parameters: dict[str, Any]) -> Any:
        kinds = {"none": None, "document": Document(text="x"), "dict": {"a": 1}, "fewer": docs[:1], "list": list(docs)}
        return kinds[parameters["what"]]

    @requests(on="/raises")
    def raises(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        errors = {
            "unprintable": Unprintable(),
            "surrogate": ValueError("\ud800"),
            "cancelled": asyncio.CancelledError(),
        }
        raise errors[parameters["what"]]

    @requests(on="/async")
    async def coroutine(self, docs: DocumentArray, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        if "bad" in docs.texts:
            raise ValueError("bad text")
        docs.texts = [text.upper() for text in docs.texts]

    @requests(on="/parts")
    def parts(self, docs: DocumentArray, **kwargs: Any) -> Iterator[Any]:
        try:
            yield Document(text="a")
            yield docs
            if "bad" in docs.texts:
                raise ValueError("bad text")
        finally:
            self.closed += 1

    @requests(on="/async_parts")
    async def async_parts(self, docs: DocumentArray, **kwargs: Any) -> AsyncIterator[Any]:
        for part in self.parts(docs):
            yield part


@pytest.fixture
def subject() -> Subject:
    return Subject()


@pytest.fixture
def runner(subject: Subject) -> Iterator[Runner]:
    with transfers() as ledger:
        yield Runner(subject, "subject", Counters(ledger))


def array(*texts: str) -> DocumentArray:
    return DocumentArray(Document(text=text) for text in texts)


def encoded(documents: DocumentArray, form: str = COLUMNS) -> bytearray:
    return bytearray().join(bytes(piece) for piece in encode_form(form, documents))


def batch(
    endpoint: str, *several: DocumentArray, form: str = COLUMNS, **parameters: Any
) -> tuple[BatchCall, bytearray]:
    bodies = [encoded(documents, form) for documents in several]
    items = [Item(form, len(documents), [len(body)]) for documents, body in zip(several, bodies, strict=True)]
    packed = msgspec.msgpack.encode(parameters) if parameters else b""
    return BatchCall(endpoint, packed, stream=False, items=items), bytearray().join(bodies)


def streamed(endpoint: str, *several: DocumentArray) -> tuple[BatchCall, bytearray]:
    call, body = batch(endpoint, *several)
    return msgspec.structs.replace(call, stream=True), body


def told(answers: list[Any], form: str = COLUMNS) -> list[Any]:
    """Return each answer's texts, or its error."""
    found: list[Any] = []
    for outcome, pieces in answers:
        data = b"".join(bytes(piece) for piece in pieces)
        assert outcome.size == len(data)
        if outcome.failed:
            found.append(from_wire(msgspec.msgpack.decode(data)))
        else:
            documents = decode_form(form, data)
            assert len(documents) == outcome.rows
            found.append(documents.texts)
    return found


def run(runner: Runner, *arguments: Any, form: str = COLUMNS, **parameters: Any) -> list[Any]:
    return told(runner.run(*batch(*arguments, form=form, **parameters), Spent()), form)


@pytest.mark.parametrize("form", [COLUMNS, PROTOBUF])
def test_a_batch_is_one_call(runner: Runner, subject: Subject, form: str) -> None:
    found = run(runner, "/upper", array("a", "b"), array(), array("c"), form=form, end="!")
    assert found == [["A!", "B!"], [], ["C!"]]
    assert subject.sizes == [3]


def test_of_a_batch_that_fails_only_the_one_at_fault_fails(runner: Runner, subject: Subject) -> None:
    first, error, last = run(runner, "/upper", array("a"), array("bad", "b"), array("c"))
    assert (first, last) == (["A"], ["C"])
    assert type(error) is ExecutorError
    assert error.args == ("subject failed at /upper: ValueError: bad text",)
    assert (error.original_type, error.original_message) == ("ValueError", "bad text")
    assert 'raise ValueError("bad text")' in error.remote_traceback
    assert subject.sizes == [4, 1, 3, 2, 1]


def test_bytes_that_are_no_documents_fail_alone(runner: Runner) -> None:
    call, body = batch("/upper", array("a"), array("b"))
    size = call.items[0].sizes[0]
    first, second = told(runner.run(call, bytearray(b"\xff" * size) + body[size:], Spent()))
    assert isinstance(first, DecodeError)
    assert second == ["B"]


@pytest.mark.parametrize(
    ("what", "texts"), [("none", ["a", "b"]), ("document", ["x"]), ("dict", ["a", "b"]), ("fewer", ["a"])]
)
def test_what_a_method_may_return(runner: Runner, what: str, texts: list[str]) -> None:
    assert run(runner, "/returns", array("a", "b"), what=what) == [texts]


def test_a_dict_is_a_result_beside_the_documents(runner: Runner) -> None:
    ((outcome, _),) = runner.run(*batch("/returns", array("a"), what="dict"), Spent())
    assert msgspec.msgpack.decode(outcome.result) == {"a": 1}


def test_what_a_method_may_not_return(runner: Runner) -> None:
    (error,) = run(runner, "/returns", array("a"), what="list")
    assert "returned a list; a method returns None, a DocumentArray or a dict" in str(error)


@pytest.mark.parametrize("what", ["unprintable", "surrogate", "cancelled"])
def test_every_exception_is_told(runner: Runner, what: str) -> None:
    (error,) = run(runner, "/raises", array("a"), what=what)
    assert isinstance(error, ExecutorError)
    assert error.original_type in (f"{__name__}.Unprintable", "ValueError", "asyncio.exceptions.CancelledError")


def test_branches_are_joined_and_told_apart(runner: Runner) -> None:
    documents = array("a", "b")
    bodies = [encoded(branch) for branch in (documents[:1], documents)]
    item = Item(COLUMNS, 2, [len(body) for body in bodies])
    call = BatchCall("/branches", b"", stream=False, items=[item])
    assert told(runner.run(call, bytearray().join(bodies), Spent())) == [["[1, 2]", "a", "b"]]
    call = BatchCall(JOIN, b"", stream=False, items=[item])
    assert told(runner.run(call, bytearray().join(bodies), Spent())) == [["a", "b"]]
    assert runner.endpoint(JOIN) is None


async def test_coroutines(runner: Runner) -> None:
    first, error = told(await runner.run_async(*batch("/async", array("a"), array("bad")), Spent()))
    assert first == ["A"]
    assert isinstance(error, ExecutorError)


async def test_a_coroutine_that_is_withdrawn_is_no_error(runner: Runner) -> None:
    task = asyncio.get_running_loop().create_task(runner.run_async(*batch("/async", array("a")), Spent()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("endpoint", ["/parts", "/async_parts"])
async def test_generators(runner: Runner, endpoint: str) -> None:
    (end,) = [piece async for piece in runner.stream(*batch(endpoint, array("b", "c")), Spent())]
    assert told([end]) == [["a", "b", "c"]]
    *parts, end = [piece async for piece in runner.stream(*streamed(endpoint, array("b", "c")), Spent())]
    assert [rows for rows, _ in parts] == [1, 2]
    assert isinstance(end[0], Outcome)
    assert told([end]) == [[]]


@pytest.mark.parametrize("endpoint", ["/parts", "/async_parts"])
async def test_a_generator_that_fails(runner: Runner, subject: Subject, endpoint: str) -> None:
    *_, end = [piece async for piece in runner.stream(*batch(endpoint, array("bad")), Spent())]
    (error,) = told([end])
    assert isinstance(error, ExecutorError)
    assert error.original_message == "bad text"
    assert subject.closed == 1


@pytest.mark.parametrize("endpoint", ["/parts", "/async_parts"])
async def test_a_generator_that_is_left(runner: Runner, subject: Subject, endpoint: str) -> None:
    pieces = runner.stream(*streamed(endpoint, array("b")), Spent())
    await anext(pieces)
    assert subject.closed == 0
    await pieces.aclose()
    assert subject.closed == 1
