import copy
import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from dure.document.array import DocumentArray
from dure.document.document import FIELDS, Document, new_id
from dure.errors import ValidationError
from tests.documents import MOJIBAKE, content, documents


def test_a_new_document_is_empty() -> None:
    document = Document()
    assert (document.text, document.blob, document.uri, document.mime_type) == ("", b"", "", "")
    assert document.tensor is None
    assert document.embedding is None
    assert (document.tags, document.scores) == ({}, {})
    assert (len(document.chunks), len(document.matches)) == (0, 0)


def test_every_document_has_an_id_of_its_own() -> None:
    assert len({Document().id for _ in range(1000)} | {new_id()}) == 1001


def test_what_was_made_by_looking_is_kept() -> None:
    document = Document()
    document.tags["a"] = 1
    document.chunks.append(Document("c"))
    assert document.tags == {"a": 1}
    assert document.chunks.texts == ["c"]


def test_two_documents_do_not_share_what_is_empty() -> None:
    one, other = Document(), Document()
    one.tags["a"] = 1
    assert other.tags == {}


def test_documents_inside_become_an_array() -> None:
    document = Document(chunks=[Document("a"), Document("b")], matches=Document("m"))
    assert isinstance(document.chunks, DocumentArray)
    assert document.chunks.texts == ["a", "b"]
    assert document.matches.texts == ["m"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", 5),
        ("text", b"a"),
        ("id", 5),
        ("blob", "a"),
        ("blob", [1, 2]),
        ("tags", ["a"]),
        ("scores", 0.5),
        ("uri", 1),
        ("mime_type", b"x"),
        ("chunks", ["a"]),
        ("matches", [{"text": "a"}]),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=r"must be|holds Documents"):
        Document(**{name: value})


def test_blob_takes_whatever_holds_bytes() -> None:
    assert [Document(blob=kind(b"ab")).blob for kind in (bytes, bytearray, memoryview)] == [b"ab"] * 3


def test_an_unknown_field_is_an_error_with_the_nearest_one() -> None:
    with pytest.raises(AttributeError, match="Did you mean 'embedding'"):
        _ = Document().embeding
    with pytest.raises(TypeError):
        Document(txt="a")  # type: ignore[call-arg]


def test_an_attribute_that_would_be_lost_is_refused() -> None:
    document = Document("a")
    document.embeding = [1.0]  # type: ignore[attr-defined]
    with pytest.raises(ValidationError, match="Did you mean 'embedding'"):
        document.to_json()


@given(documents)
def test_plain_values_make_an_equal_document(document: Document) -> None:
    assert content(Document.from_dict(document.to_dict())) == content(document)


@given(documents)
def test_json_makes_an_equal_document(document: Document) -> None:
    line = document.to_json()
    assert "\n" not in line
    found = Document.from_json(line)
    assert content(found) == content(document)
    assert found == document
    assert Document.from_json(line.encode()) == document


@given(documents)
def test_copies_and_pickles_are_equal(document: Document) -> None:
    assert content(copy.copy(document)) == content(document)
    assert content(copy.deepcopy(document)) == content(document)
    assert content(pickle.loads(pickle.dumps(document))) == content(document)


def test_mis_decoded_text_is_left_as_it_is() -> None:
    assert Document.from_json(Document(MOJIBAKE).to_json()).text == MOJIBAKE


def test_equal_is_same_id_and_same_content() -> None:
    one = Document("a", id="1", embedding=np.array([1.0, np.nan], np.float32))
    other = Document("a", id="1", embedding=np.array([1.0, np.nan], np.float32), tags={}, uri="")
    assert one == other
    assert one != Document("a", id="2", embedding=one.embedding)
    assert one != Document("b", id="1", embedding=one.embedding)
    assert one != Document("a", id="1")
    assert one != Document("a", id="1", embedding=np.zeros(2, np.float32))
    assert one != "a"
    assert Document(id="1", embedding=[1, 2]) == Document(id="1", embedding=np.array([1, 2]))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('"a"', "must be an object"),
        ("null", "must be an object"),
        ('{"txt": "a"}', "Did you mean 'text'"),
        ('{"text": 5}', r"document\.text must be a text"),
        ('{"tags": []}', r"document\.tags must be an object"),
        ('{"blob": "%%"}', r"document\.blob must be base64"),
        ('{"blob": 5}', "blob must be bytes"),
        ('{"embedding": "a"}', r"document\.embedding must be numbers"),
        ('{"embedding": [1, null]}', r"document\.embedding must be numbers"),
        ('{"embedding": [[1], [1, 2]]}', "regular shape"),
        ('{"embedding": [1e300]}', "not all numbers fit into float32"),
        ('{"chunks": 5}', "must be a list of documents"),
        ('{"chunks": [{"text": "a"}, {"text": 5}]}', r"document\.chunks\[1\]\.text must be a text"),
        ('{"tags": {"a": "\ud800"}}', "not JSON"),
        ('{"tags": ' + "[" * 100_000, "not JSON"),
        ('{"chunks": [' * 400 + "]}" * 400, "deep"),
        ("{}{}", "not JSON"),
        ("NaN", "not JSON"),
    ],
)
def test_a_faulty_line_is_an_error_that_says_where(line: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Document.from_json(line)


def test_bytes_that_are_not_utf8_are_an_error() -> None:
    with pytest.raises(ValidationError, match="not JSON"):
        Document.from_json('{"text": "가"}'.encode("cp949"))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (Document(tags={"a": float("nan")}), r"tags\.a is nan"),
        (Document(tags={"a": [None, float("inf")]}), r"a\[1\] is inf"),
        (Document(embedding=np.array([1.0, np.nan], np.float32)), r"embedding\[1\] is nan"),
        (Document(tags={"a": b"x"}), "is a bytes"),
        (Document(tags={1: 2}), "keys are texts"),  # type: ignore[dict-item]
        (Document(tensor=np.zeros(1, np.complex64)), "complex"),
        (Document("\ud800"), "does not fit into JSON"),
    ],
)
def test_what_json_does_not_have_is_refused(document: Document, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        document.to_json()


def test_a_document_inside_itself_is_refused() -> None:
    document = Document()
    document.chunks = DocumentArray([document])
    with pytest.raises(ValidationError, match="contains itself"):
        document.to_json()


def test_none_in_tags_is_json_null() -> None:
    assert Document.from_json(Document(tags={"a": None}).to_json()).tags == {"a": None}


def test_repr_is_short() -> None:
    document = Document("x" * 1000, embedding=np.zeros(1000))
    assert "array(1000,)" in repr(document)
    assert len(repr(document)) < 200


def test_fields_are_the_arguments_and_attributes() -> None:
    document = Document()
    assert all(hasattr(document, name) for name in FIELDS)
    assert Document(**dict.fromkeys(FIELDS)).text == ""


def test_many_documents_are_small() -> None:
    texts = [f"sentence {i}" for i in range(100_000)]
    tracemalloc.start()
    made = [Document(text) for text in texts]
    bytes_each = tracemalloc.get_traced_memory()[0] / len(made)
    tracemalloc.stop()
    assert bytes_each < 256


@pytest.mark.parametrize("fields", [{"blob": None}, {"blob": 1}, {"scores": {"a": "1"}}, {"scores": {"a": {}}}])
def test_plain_values_of_another_type_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=rf"^document\.{next(iter(fields))} must be"):
        Document.from_dict(fields)
