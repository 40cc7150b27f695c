import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.document.array import DocumentArray
from dure.document.codec import decode, encode
from dure.document.document import Document
from dure.document.merge import concatenate, join, split
from dure.errors import ValidationError
from tests.documents import content, lists_of_documents


def as_columns(items: list[Document]) -> DocumentArray:
    return decode(b"".join(encode(DocumentArray(items))))


def contents(documents: DocumentArray) -> list[dict[str, object]]:
    return [content(document) for document in documents]


@given(parts=st.lists(lists_of_documents, max_size=3), in_columns=st.lists(st.booleans()))
def test_what_was_concatenated_can_be_split(parts: list[list[Document]], in_columns: list[bool]) -> None:
    states = [*in_columns, True, True, True]
    arrays = [as_columns(p) if state else DocumentArray(p) for p, state in zip(parts, states, strict=False)]
    whole = concatenate(arrays)
    assert contents(whole) == [content(document) for part in parts for document in part]
    again = split(concatenate(arrays), [len(part) for part in parts])
    assert [contents(part) for part in again] == [contents(DocumentArray(p)) for p in parts]


def test_columns_stay_columns() -> None:
    ones = [Document(str(i), embedding=np.full(2, i, np.float32)) for i in range(3)]
    whole = concatenate([as_columns(ones[:2]), as_columns([]), as_columns(ones[2:])])
    assert not whole.is_list
    assert isinstance(whole.embeddings, np.ndarray)
    first, second = split(whole, [1, 2])
    assert not first.is_list
    assert np.shares_memory(first.embeddings, whole.embeddings)
    assert second.texts == ["1", "2"]


def test_one_array_is_taken_as_it_is() -> None:
    docs = DocumentArray([Document("a")])
    assert concatenate([docs]) is split(docs, [1])[0] is join([docs]) is docs


def test_nothing_at_all() -> None:
    assert len(concatenate([])) == len(join([])) == 0
    assert split(DocumentArray(), []) == []
    assert [len(part) for part in split(DocumentArray([Document()]), [0, 1, 0])] == [0, 1, 0]


@pytest.mark.parametrize("counts", [[1], [1, 2], [3, -1], []])
def test_counts_that_do_not_add_up(counts: list[int]) -> None:
    with pytest.raises(ValidationError, match="2 documents cannot be split"):
        split(DocumentArray([Document(), Document()]), counts)


def test_rows_of_a_split_list_are_the_arrays_own() -> None:
    docs = DocumentArray([Document("a"), Document("b")])
    split(docs, [1, 1])[1][0].text = "changed"
    assert docs.texts == ["a", "changed"]


def branches(*parts: list[Document]) -> list[DocumentArray]:
    return [DocumentArray(part) for part in parts]


def test_what_any_branch_has_set_is_there() -> None:
    one = Document("a", id="1", tags={"x": 1}, scores={"s": 0.1})
    other = Document("a", id="1", embedding=np.ones(2), tags={"y": 2}, scores={"s": 0.2})
    [found] = join(branches([one], [other]))
    assert (found.text, found.tags, found.scores) == ("a", {"x": 1, "y": 2}, {"s": 0.2})
    assert found.embedding is other.embedding


def test_the_branches_stay_as_they_are() -> None:
    one, other = Document("a", id="1", tags={"x": 1}), Document("b", id="1", tags={"y": 2})
    joined = join(branches([one], [other]))
    joined[0].text = "changed"
    assert (one.text, one.tags, other.text, other.tags) == ("a", {"x": 1}, "b", {"y": 2})


def test_the_later_branch_wins_but_not_with_nothing() -> None:
    one = Document("a", id="1", uri="u", embedding=np.ones(1))
    other = DocumentArray.from_columns(1, {"id": ["1"], "text": ["b"]})
    assert other.column("uri") == [""]  # looked at, and so there, but empty
    [found] = join([DocumentArray([one]), other])
    assert (found.text, found.uri, found.embedding) == ("b", "u", one.embedding)


def test_order_is_that_of_the_first_branch() -> None:
    parts = [[Document(id=i) for i in ids] for ids in ("ab", "bca", "d")]
    assert join(branches(*parts)).ids == ["a", "b", "c", "d"]


def test_documents_with_one_id_are_not_lost() -> None:
    first = [Document(t, id="same") for t in ("a", "b")]
    second = [Document(id="same", uri=u) for u in ("1", "2", "3")]
    found = join(branches(first, second))
    assert [(d.text, d.uri) for d in found] == [("a", "1"), ("b", "2"), ("", "3")]
