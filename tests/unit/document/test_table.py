from collections.abc import Callable

import numpy as np
import pytest

from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.errors import ValidationError

EMBEDDINGS = np.arange(6, dtype=np.float32).reshape(3, 2)


def as_list() -> DocumentArray:
    return DocumentArray(
        Document(text, id=text, tags={"n": i}, embedding=EMBEDDINGS[i]) for i, text in enumerate("abc")
    )


def as_columns() -> DocumentArray:
    names = list("abc")
    tags = [{"n": i} for i in range(3)]
    return DocumentArray.from_columns(
        3, {"id": names, "text": list(names), "tags": tags, "embedding": EMBEDDINGS.copy()}
    )


both_states = pytest.mark.parametrize("make", [as_list, as_columns])
Make = Callable[[], DocumentArray]


def test_the_states_are_equal() -> None:
    assert as_list() == as_columns()
    assert as_list().is_list
    assert not as_columns().is_list


@both_states
def test_reading_columns_makes_no_objects(make: Make) -> None:
    docs = make()
    state = docs.is_list
    assert len(docs) == 3
    assert docs.texts == docs.ids == ["a", "b", "c"]
    assert docs.tags == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert docs.blobs == [b""] * 3
    assert docs.tensors is None
    assert docs.column("scores") == [{}, {}, {}]
    assert np.array_equal(docs.embeddings, EMBEDDINGS)
    assert docs.get_attributes("text") == ["a", "b", "c"]
    assert docs.get_attributes("text", "uri") == [["a", "b", "c"], ["", "", ""]]
    assert docs.is_list is state


@both_states
def test_columns_that_are_set_are_those_of_the_documents(make: Make) -> None:
    docs = make()
    docs.texts = ["x", "y", "z"]
    docs.embeddings = EMBEDDINGS + 1
    docs.blobs = (b"1", b"2", b"3")
    docs.tags = [{"k": i} for i in range(3)]
    docs.set_column("uri", ["u"] * 3)
    last = docs[2]
    assert (last.text, last.blob, last.tags, last.uri) == ("z", b"3", {"k": 2}, "u")
    assert last.embedding.tolist() == [5.0, 6.0]


@both_states
def test_documents_that_are_changed_are_those_of_the_columns(make: Make) -> None:
    docs = make()
    docs[0].text = "first"
    docs[1].embedding = np.ones(2, np.float32)
    docs[2].tags["new"] = True
    assert docs.texts == ["first", "b", "c"]
    assert docs.embeddings[1].tolist() == [1.0, 1.0]
    assert docs.tags[2] == {"n": 2, "new": True}


@both_states
def test_what_is_written_into_tags_stays(make: Make) -> None:
    docs = make()
    docs.tags[0]["x"] = 1
    docs.column("scores")[1]["s"] = 0.5
    assert docs[0].tags == {"n": 0, "x": 1}
    assert docs[1].scores == {"s": 0.5}


@both_states
def test_a_document_out_of_an_array_is_the_arrays_own(make: Make) -> None:
    docs = make()
    assert docs[1] is docs[1] is docs["b"] is list(docs)[1] is docs[1:][0] is docs[[1]][0]
    docs[:2].texts = ["x", "y"]
    assert docs.texts == ["x", "y", "c"]
    for batch in docs.batch(2):
        batch.embeddings = np.zeros((len(batch), 4))
    assert docs.embeddings.shape == (3, 4)


@both_states
def test_embeddings_can_be_unset(make: Make) -> None:
    docs = make()
    docs.embeddings = None
    assert docs.embeddings is None
    assert docs[0].embedding is None


@both_states
def test_embeddings_of_several_shapes_are_a_list(make: Make) -> None:
    docs = make()
    docs.embeddings = [np.zeros(2), None, [1, 2, 3]]
    found = docs.embeddings
    assert [None if v is None else v.shape for v in found] == [(2,), None, (3,)]
    assert docs[1].embedding is None


@both_states
@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("text", ["a", "b"], "2 values of 'text' for 3"),
        ("text", ["a", 5, "c"], "'text' of document 1 must be str, not int"),
        ("text", "abc", "one value a document"),
        ("text", None, "one value a document"),
        ("blob", ["a", "b", "c"], "'blob' of document 0 must be bytes"),
        ("tags", [{}, {}, None], "'tags' of document 2 must be dict"),
        ("tags", {"a": 1, "b": 2, "c": 3}, "one value a document"),
        ("id", [1, 2, 3], "'id' of document 0"),
        ("embedding", np.zeros((4, 2)), "4 values of 'embedding' for 3"),
        ("embedding", np.float32(1), "one value a document"),
        ("txt", ["a"] * 3, "Did you mean 'text'"),
    ],
)
def test_a_column_that_does_not_fit_is_refused(make: Make, name: str, values: object, message: str) -> None:
    docs = make()
    with pytest.raises(ValidationError, match=message):
        docs.set_column(name, values)
    assert docs == make()


@both_states
def test_an_unknown_column(make: Make) -> None:
    with pytest.raises(ValidationError, match="Did you mean 'embedding'"):
        make().column("embeddings")


@both_states
def test_texts_of_numpy_become_texts(make: Make) -> None:
    docs = make()
    docs.set_column("text", np.array(["x", "y", "z"]))
    assert {type(text) for text in docs.texts} == {str}


@both_states
def test_only_columns_with_something_in_them_are_given(make: Make) -> None:
    docs = make()
    assert set(docs.columns()) == {"id", "text", "tags", "embedding"}
    assert docs.columns()["embedding"].shape == (3, 2)  # type: ignore[union-attr]


def test_gaps_read_as_empty_values() -> None:
    docs = DocumentArray.from_columns(
        2, {"id": ["a", None], "text": [None, "t"], "tags": [None, {"a": 1}], "blob": [b"x", None]}
    )
    assert docs.texts == ["", "t"]
    assert docs.tags == [{}, {"a": 1}]
    assert docs.blobs == [b"x", b""]
    assert docs.ids[0] == "a"
    assert docs.ids[1] == docs[1].id != ""
    assert (docs[0].text, docs[1].blob) == ("", b"")


def test_ids_are_made_once() -> None:
    docs = DocumentArray.from_columns(2, {"text": ["a", "b"]})
    ids = docs.ids
    assert len(set(ids)) == 2
    assert ids == docs.ids == [d.id for d in docs] == docs.columns()["id"]


def test_documents_with_gaps_in_a_list() -> None:
    docs = DocumentArray([Document("a"), Document(tags={"x": 1}), Document(embedding=[1.0])])
    columns = docs.columns()
    assert columns["text"] == ["a", None, None]
    assert columns["tags"] == [None, {"x": 1}, None]
    assert [v is None for v in columns["embedding"]] == [True, True, False]
    assert docs.texts == ["a", "", ""]


def test_an_attribute_that_is_no_field_is_refused() -> None:
    docs = DocumentArray([Document("a"), Document("b")])
    docs[1].embeding = [1.0]  # type: ignore[attr-defined]
    with pytest.raises(ValidationError, match=r"no field 'embeding'.* Did you mean 'embedding'"):
        docs.columns()


@pytest.mark.parametrize(
    ("columns", "message"),
    [({"text": ["a"]}, "1 values, not 2"), ({"txt": ["a", "b"]}, "Did you mean 'text'")],
)
def test_columns_are_checked(columns: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DocumentArray.from_columns(2, dict(columns))
