"""Answers that are kept: which documents are alike, what is given to the method, and what is forgotten."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from dure import Document, DocumentArray, nd, transfers
from dure.device.context import cpu, gpu
from dure.device.simulated import simulated_gpus
from dure.document.document import NESTED
from dure.errors import ValidationError
from dure.worker.cache import AnswerCache, Lookup
from tests.documents import content, documents


class Upper:
    """A method behind a cache; counts the documents that it is given."""

    def __init__(self, size: int = 100) -> None:
        self.cache = AnswerCache(size)
        self.given: list[str] = []

    def __call__(self, *docs: Document, endpoint: str = "/a", parameters: bytes = b"") -> DocumentArray:
        lookup = self.look_up(*docs, endpoint=endpoint, parameters=parameters)
        for doc in lookup.missing:
            self.given.append(doc.text)
            doc.text = doc.text.upper()
        return lookup.complete(None if lookup.missing else DocumentArray())

    def look_up(self, *docs: Document, endpoint: str = "/a", parameters: bytes = b"") -> Lookup:
        return self.cache.look_up(endpoint, parameters, DocumentArray(docs))


def test_documents_alike_are_computed_once_and_keep_their_ids() -> None:
    upper = Upper()
    back = upper(Document("a", id="1"), Document("b", id="2"), Document("a", id="3"))
    assert (back.texts, back.ids) == (["A", "B", "A"], ["1", "2", "3"])
    back = upper(Document("b", id="4"), Document("c", id="5"))
    assert (back.texts, back.ids) == (["B", "C"], ["4", "5"])
    assert upper.given == ["a", "b", "c"]


def test_what_was_given_is_left_as_it_was() -> None:
    asked = Document("a")
    Upper()(asked)
    assert asked.text == "a"


def test_an_answer_is_not_changed_by_who_got_it() -> None:
    upper = Upper()
    for _ in range(2):
        (back,) = upper(Document("a"))
        assert back.text == "A"
        back.text = "changed"


def test_endpoints_and_parameters_are_told_apart() -> None:
    upper = Upper()
    upper(Document("a"))
    upper(Document("a"), endpoint="/b")
    upper(Document("a"), parameters=b"\x81")
    upper(Document("a"))
    assert upper.given == ["a", "a", "a"]


@pytest.mark.parametrize(
    "other",
    [
        {"text": "b"},
        {"blob": b"x"},
        {"tags": {"x": 1}},
        {"scores": {"x": 1.0}},
        {"uri": "u"},
        {"mime_type": "m"},
        {"tensor": np.zeros(2)},
        {"embedding": np.zeros(2)},
        {"chunks": [Document("c")]},
    ],
)
def test_every_field_counts(other: dict[str, Any]) -> None:
    upper = Upper()
    doc = Document("a")
    for name, value in other.items():
        setattr(doc, name, value)
    upper(Document("a"), doc)
    assert len(upper.given) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros(2, "float32"), np.zeros(2, "float64")),
        (np.zeros(4, "float32"), np.zeros((2, 2), "float32")),
        (np.zeros(2, "int32"), np.zeros(2, "float32")),
        (np.zeros(0), np.zeros((0, 2))),
    ],
)
def test_type_and_shape_of_arrays_count(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> None:
    upper = Upper()
    upper(Document(tensor=one), Document(tensor=other), Document(tensor=one.copy()))
    assert len(upper.given) == 2


def test_tags_are_alike_in_any_order() -> None:
    upper = Upper()
    upper(Document("a", tags={"x": 1, "y": 2}), Document("a", tags={"y": 2, "x": 1}))
    assert upper.given == ["a"]


def test_documents_with_documents_inside_are_never_taken_for_another() -> None:
    upper = Upper()
    for chunk in ("x", "y"):
        for endpoint in ("/a", "/b"):
            (back,) = upper(Document("a", id="same", chunks=[Document(chunk)]), endpoint=endpoint)
            assert back.chunks.texts == [chunk]
    both = upper(*(Document("a", id="same", chunks=[Document(chunk)]) for chunk in "xy"))
    assert [doc.chunks.texts for doc in both] == [["x"], ["y"]]
    assert len(upper.given) == 6


def test_documents_with_documents_inside_take_no_room() -> None:
    upper = Upper(1)
    upper(Document("a"))
    upper(*(Document("b", chunks=[Document("c")]) for _ in range(3)))
    upper(Document("a"))
    assert upper.given == ["a", "b", "b", "b"]


def test_the_longest_unused_is_forgotten_first() -> None:
    upper = Upper(2)
    for text in ("a", "b", "a", "c", "a", "b"):
        upper(Document(text))
    assert upper.given == ["a", "b", "c", "b"], "a was used before c came, b was not"


def test_a_batch_larger_than_the_cache_is_answered_whole() -> None:
    upper = Upper(2)
    texts = [str(i) for i in range(9)]
    assert upper(*map(Document, texts)).texts == texts
    upper(Document("8"), Document("7"))
    assert upper.given == texts, "the last two are kept"


def test_how_many_were_known() -> None:
    upper = Upper()
    assert upper.look_up(Document("a"), Document("a"), Document("b")).num_found == 1
    upper(Document("a"))
    lookup = upper.look_up(Document("a"), Document("a"), Document("b"))
    assert (lookup.num_found, lookup.missing.texts) == (2, ["b"])


def test_answers_must_be_as_many_as_questions() -> None:
    upper = Upper()
    lookup = upper.look_up(Document("a"), Document("b"))
    with pytest.raises(ValidationError, match="returned 1 documents for 2; where answers are kept"):
        lookup.complete(DocumentArray(Document("A")))
    assert upper.look_up(Document("a")).num_found == 0


def test_a_dict_is_no_answer_that_could_be_kept() -> None:
    with pytest.raises(ValidationError, match=r"returned a dict.*where answers are kept \(cache_size\)"):
        Upper().look_up(Document("a")).complete({"a": 1})


def test_a_failed_call_leaves_nothing_behind() -> None:
    upper = Upper()
    upper.look_up(Document("a"))  # and the method raised
    assert upper(Document("a")).texts == ["A"]


def test_a_kept_array_does_not_keep_the_batch_it_came_in() -> None:
    cache = AnswerCache(10)
    docs = DocumentArray(Document(str(i)) for i in range(4))
    lookup = cache.look_up("/a", b"", docs)
    whole = np.ones((4, 3), "float32")
    lookup.missing.embeddings = whole
    lookup.complete(None)
    kept = cache.look_up("/a", b"", docs).complete(DocumentArray())
    whole[:] = 2
    assert np.array_equal(np.stack([doc.embedding for doc in kept]), np.ones((4, 3)))


def test_what_the_executor_does_later_with_what_it_returned_is_its_own() -> None:
    cache, docs = AnswerCache(10), DocumentArray(Document("a"))
    mine = Document("A", tags={"x": [1]})
    cache.look_up("/a", b"", docs).complete(mine)
    mine.text = "B"
    mine.tags["x"].append(2)
    (back,) = cache.look_up("/a", b"", docs).complete(DocumentArray())
    assert (back.text, back.tags) == ("A", {"x": [1]})


def test_answers_are_kept_on_the_host_and_moved_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_ARRAY_LIBRARY", "numpy")
    with simulated_gpus(1), transfers() as ledger:
        cache, docs = AnswerCache(10), DocumentArray(Document(str(i)) for i in range(4))
        lookup = cache.look_up("/a", b"", docs)
        lookup.missing.embeddings = nd.ones((4, 2), gpu())
        lookup.complete(None)
        back = cache.look_up("/a", b"", docs).complete(DocumentArray())
        assert {type(doc.embedding) for doc in back} == {np.ndarray}
        assert ledger.between(gpu(), cpu()).num_moves == 1


@given(documents)
def test_whatever_a_document_holds_comes_back(document: Document) -> None:
    cache = AnswerCache(10)
    for _ in range(2):
        lookup = cache.look_up("/a", b"", DocumentArray(document))
        (back,) = lookup.complete(None if lookup.missing else DocumentArray())
        assert content(back) == content(document)
    if NESTED.isdisjoint(vars(document)):
        assert lookup.num_found == 1
