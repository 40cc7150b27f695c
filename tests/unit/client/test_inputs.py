"""What may be given to `post`, cut into requests, and nothing read ahead."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.client.inputs import async_requests_of, num_requests, requests_of
from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.errors import ValidationError


def made(count: int) -> Iterator[Document]:
    for i in range(count):
        yield Document(text=str(i))


def cut(inputs: Any, size: int) -> list[list[str]]:
    return [part.texts for part in requests_of(inputs, size)]


@given(st.integers(0, 30), st.integers(1, 12))
def test_every_form_is_cut_alike(count: int, size: int) -> None:
    expected = [[str(i) for i in range(start, min(start + size, count))] for start in range(0, count, size)]
    array = DocumentArray(made(count))
    columns = DocumentArray.from_columns(count, {"text": [str(i) for i in range(count)]})
    for inputs in (list(made(count)), made(count), lambda: made(count), array, columns, [str(i) for i in range(count)]):
        assert cut(inputs, size) == expected
    assert num_requests(array, size) == len(expected)


def test_nothing_is_read_ahead() -> None:
    read = 0

    def counted() -> Iterator[Document]:
        nonlocal read
        for document in made(100):
            read += 1
            yield document

    requests = requests_of(counted, 10)
    assert read == 0
    next(requests)
    assert read == 10


def test_what_was_made_before_an_exception_is_sent() -> None:
    error = KeyError("mine")

    def broken() -> Iterator[Document]:
        yield from made(5)
        raise error

    requests = requests_of(broken, 2)
    assert [next(requests).texts for _ in range(3)] == [["0", "1"], ["2", "3"], ["4"]]
    with pytest.raises(KeyError) as caught:
        next(requests)
    assert caught.value is error


def test_an_item_that_is_no_document_comes_after_those_before_it() -> None:
    requests = requests_of(["a", "b", 3], 2)
    assert next(requests).texts == ["a", "b"]
    with pytest.raises(ValidationError, match="not int: 3"):
        next(requests)


def test_documents_are_not_copied() -> None:
    document = Document()
    assert next(requests_of([document], 1))[0] is document


def test_how_many_is_known_only_where_they_say_so() -> None:
    assert num_requests(None, 3) == num_requests("x", 3) == num_requests(Document(), 3) == 1
    assert num_requests([1, 2, 3, 4], 3) == 2
    assert num_requests([], 3) == 0
    assert num_requests(made(3), 3) is None
    assert num_requests(lambda: made(3), 3) is None


async def test_async_inputs_are_cut_alike() -> None:
    async def make() -> AsyncIterator[str]:
        for i in range(5):
            yield str(i)

    for inputs in (make, make(), [str(i) for i in range(5)], lambda: made(5)):
        found = [part.texts async for part in async_requests_of(inputs, 2)]
        assert found == [["0", "1"], ["2", "3"], ["4"]]


async def test_what_was_made_before_an_exception_is_sent_async() -> None:
    async def broken() -> AsyncIterator[Any]:
        yield "0"
        yield "1"
        yield "2"
        raise KeyError("mine")

    requests = async_requests_of(broken, 2)
    assert (await anext(requests)).texts == ["0", "1"]
    assert (await anext(requests)).texts == ["2"]
    with pytest.raises(KeyError):
        await anext(requests)
