"""Requests read as one array of documents, and taken apart again."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.document.forms import COLUMNS, PROTOBUF, decode_form, encode_form
from dure.errors import DecodeError, ValidationError
from dure.transport.messages import BatchCall, Item, Spent
from dure.worker.batch import Batch, NotMergeable, part, singles

FORMS = st.sampled_from((COLUMNS, PROTOBUF))


def array(*texts: str) -> DocumentArray:
    return DocumentArray(Document(text=text) for text in texts)


def sent(*several: DocumentArray, forms: list[str] | None = None) -> tuple[BatchCall, bytearray]:
    chosen = forms or [COLUMNS] * len(several)
    bodies = [b"".join(map(bytes, encode_form(form, one))) for form, one in zip(chosen, several, strict=True)]
    items = [Item(f, len(one), [len(body)]) for f, one, body in zip(chosen, several, bodies, strict=True)]
    return BatchCall("/", b"", stream=False, items=items), bytearray(b"".join(bodies))


def read(*several: DocumentArray) -> Batch:
    return Batch.read(*sent(*several), Spent())


def texts(batch: Batch, returned: Any) -> list[list[str]]:
    found = []
    for item, answer in zip(batch.call.items, batch.answers(returned, Spent()), strict=True):
        assert not isinstance(answer, Exception)
        outcome, pieces = answer
        data = b"".join(map(bytes, pieces))
        assert (outcome.failed, outcome.size) == (False, len(data))
        documents = decode_form(item.form, data)
        assert len(documents) == outcome.rows
        found.append(documents.texts)
    return found


@given(st.lists(st.tuples(FORMS, st.lists(st.text(max_size=3), max_size=4)), min_size=1, max_size=6))
def test_rows_come_back_to_whom_they_belong(requests: list[tuple[str, list[str]]]) -> None:
    call, body = sent(*[array(*each) for _, each in requests], forms=[form for form, _ in requests])
    batch = Batch.read(call, body, Spent())
    assert batch.documents.texts == [text for _, each in requests for text in each]
    for document in batch.documents:
        document.text += "!"
    assert texts(batch, None) == [[text + "!" for text in each] for _, each in requests]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.data())
def test_a_part_of_a_batch_is_a_batch(sizes: list[int], data: st.DataObject) -> None:
    given_ = [array(*[f"{i}.{j}" for j in range(size)]) for i, size in enumerate(sizes)]
    call, body = sent(*given_)
    start = data.draw(st.integers(0, len(sizes) - 1))
    end = data.draw(st.integers(start + 1, len(sizes)))
    found = Batch.read(*part(call, body, start, end), Spent())
    assert found.documents.texts == [text for one in given_[start:end] for text in one.texts]
    assert [Batch.read(*one, Spent()).documents.texts for one in singles(call, body)] == [g.texts for g in given_]


def test_reading_takes_time() -> None:
    spent = Spent()
    batch = Batch.read(*sent(array("a"), array("b")), spent)
    assert spent.decode_s > 0
    batch.answers(None, spent)
    assert spent.encode_s > 0


def test_bytes_that_are_no_documents() -> None:
    call, body = sent(array("a"), array("b"))
    body[-4:] = b"\xff" * 4
    with pytest.raises(DecodeError):
        Batch.read(call, bytearray(b"\xff" * len(body)), Spent())


def test_a_single_request_may_get_back_what_the_method_likes() -> None:
    assert texts(read(array("a", "b")), array("x")) == [["x"]]
    assert texts(read(array("a", "b")), DocumentArray()) == [[]]
    assert texts(read(array("a", "b")), Document(text="x")) == [["x"]]
    batch = read(array("a", "b"))
    assert texts(batch, batch.documents[::-1]) == [["b", "a"]]


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_of_several_requests_another_count_cannot_be_taken_apart(count: int) -> None:
    batch = read(array("a", "b"), array("c"))
    with pytest.raises(NotMergeable, match=f"returned {count} documents for 3; requests are merged here"):
        batch.answers(array(*["x"] * count), Spent())


@pytest.mark.parametrize("order", [[2, 1, 0], [1, 2, 0], [0, 2, 1]])
def test_of_several_requests_another_order_is_refused(order: list[int]) -> None:
    batch = read(array("a", "b"), array("c"))
    with pytest.raises(NotMergeable, match="returned the documents in another order"):
        batch.answers(DocumentArray([batch.documents[i] for i in order]), Spent())


def test_one_left_out_and_one_put_in_is_another_order_as_well() -> None:
    batch = read(array("a", "b"), array("c"))
    with pytest.raises(NotMergeable, match="returned the documents in another order"):
        batch.answers(DocumentArray([*batch.documents[1:], Document(text="new")]), Spent())


def test_documents_turned_in_place_are_another_order() -> None:
    batch = read(array("a"), array("b"))
    batch.documents.sort(key=lambda document: document.text, reverse=True)
    with pytest.raises(NotMergeable, match="another order"):
        batch.answers(None, Spent())


def test_documents_of_its_own_making_are_taken_where_merging_was_asked_for() -> None:
    assert texts(read(array("a", "b"), array("c")), array("x", "y", "z")) == [["x", "y"], ["z"]]


def test_on_trial_they_are_not() -> None:
    batch = read(array("a", "b"), array("c"))
    with pytest.raises(NotMergeable, match="of its own making"):
        batch.check_whose(array("x", "y", "z"))
    with pytest.raises(NotMergeable, match="returned a dict"):
        batch.check_whose({"a": 1})
    batch.check_whose(None)
    batch.check_whose(batch.documents)
    batch.documents[0].id = "another"
    with pytest.raises(NotMergeable, match="of its own making"):
        batch.check_whose(None)


@pytest.mark.parametrize("returned", [42, "text", [Document()], (Document(),)])
def test_what_a_method_may_not_return(returned: Any) -> None:
    for batch in (read(array("a")), read(array("a"), array("b"))):
        with pytest.raises(ValidationError, match=f"returned a {type(returned).__name__}; a method returns None"):
            batch.answers(returned, Spent())


def test_a_dict_goes_to_all() -> None:
    answers = read(array("a"), array("b")).answers({"loss": np.float32(0.5)}, Spent())
    results = [answer[0].result for answer in answers if not isinstance(answer, Exception)]
    assert [msgspec.msgpack.decode(result) for result in results] == [{"loss": 0.5}] * 2


def test_documents_of_one_id_are_not_mistaken_for_another_order() -> None:
    same = [DocumentArray([Document(id="same", text=text)]) for text in "abc"]
    assert texts(read(*same), None) == [["a"], ["b"], ["c"]]


# -- if a merged call fails, its requests are read again: as they came -------------------------------------------------


def deep(text: str, shape: tuple[int, ...]) -> Document:
    zeros: dict[str, Any] = {"tensor": np.zeros(shape), "embedding": np.zeros(2)}
    inner = Document(tensor=np.zeros(3), chunks=[Document(tensor=np.zeros((2, 2)))])
    return Document(text=text, tags={"count": [0]}, chunks=[inner], matches=[Document(embedding=np.zeros(2))], **zeros)


def change(documents: DocumentArray) -> None:
    for document in documents:
        for name in ("tensor", "embedding"):
            if getattr(document, name) is not None:
                getattr(document, name)[...] = 1
        document.text += "!"
        if "count" in document.tags:
            document.tags["count"][0] += 1
        for inner in (document.chunks, document.matches):
            if inner:
                change(inner)


@pytest.mark.parametrize("form", [COLUMNS, PROTOBUF])
@pytest.mark.parametrize("shapes", [[(2,), (2,)], [(2,), (3,)], [(2, 2), (4,)]])
def test_what_a_method_does_to_documents_it_does_not_to_the_payload(form: str, shapes: list[tuple[int, ...]]) -> None:
    requests = [DocumentArray([deep(str(i), shape)]) for i, shape in enumerate(shapes)]
    call, body = sent(*requests, forms=[form] * len(requests))
    before = bytes(body)
    change(Batch.read(call, body, Spent()).documents)
    assert bytes(body) == before


def test_nor_beside_a_request_without_documents() -> None:
    call, body = sent(DocumentArray(), DocumentArray([deep("a", (2,)), deep("b", (2,))]))
    before = bytes(body)
    batch = Batch.read(call, body, Spent())
    batch.documents.tensors += 1
    change(batch.documents)
    assert bytes(body) == before
