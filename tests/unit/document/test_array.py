import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.errors import ValidationError


def letters(text: str = "abcde") -> DocumentArray:
    return DocumentArray(Document(letter, id=letter) for letter in text)


def test_it_is_a_list() -> None:
    docs = letters()
    docs.append(Document("f"))
    docs.insert(0, Document("z"))
    docs.extend(letters("gh"))
    docs += [Document("i")]
    assert "".join(docs.texts) == "zabcdefghi"
    assert docs.pop().text == "i"
    del docs[0]
    del docs["g"]
    del docs[-2:]
    docs.reverse()
    assert "".join(docs.texts) == "edcba"
    docs.sort(key=lambda d: d.text)
    assert "".join(docs.texts) == "abcde"
    assert docs.index(docs[2]) == 2
    assert "".join((docs + docs).texts) == "abcdeabcde"
    docs.clear()
    assert len(docs) == 0
    assert not docs


def test_what_is_found_by_what() -> None:
    docs = letters()
    assert docs[1].text == docs[-4].text == docs["b"].text == "b"
    position: Any = np.int64(1)
    assert docs[position] is docs[1]
    assert docs[1:3].texts == docs[[1, 2]].texts == docs[np.array([1, 2])].texts == ["b", "c"]
    mask = np.array([True, False, False, False, True])
    assert docs[mask].texts == docs[mask.tolist()].texts == ["a", "e"]
    assert docs[[]].texts == docs[9:].texts == []
    assert "b" in docs
    assert "z" not in docs
    assert docs[1] in docs
    assert Document("b") not in docs


def test_what_is_put_in_place() -> None:
    docs = letters()
    docs[0] = Document("x")
    docs["b"] = Document("y", id="b")
    docs[3:] = letters("z")
    assert docs.texts == ["x", "y", "c", "z"]


@pytest.mark.parametrize("item", ["a", None, {"text": "a"}, DocumentArray(), [Document()]])
def test_only_documents_get_in(item: Any) -> None:
    docs = letters()
    puts: list[Any] = [
        lambda: docs.append(item),
        lambda: docs.insert(0, item),
        lambda: docs.extend([Document("new"), item]),
        lambda: operator.setitem(docs, 0, item),
        lambda: DocumentArray([item]),
    ]
    for put in puts:
        with pytest.raises(ValidationError, match="holds Documents, not"):
            put()
    assert "".join(docs.texts) == "abcde"


@pytest.mark.parametrize(("key", "error"), [("x", KeyError), (5, IndexError), (1.0, TypeError)])
def test_what_is_not_there(key: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        _ = letters()[key]  # type: ignore[call-overload]


def test_a_mask_of_another_length_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"mask of shape \(2,\) for 5"):
        _ = letters()[np.array([True, False])]


def test_one_document_is_an_array_of_one() -> None:
    assert DocumentArray(Document("a")).texts == ["a"]


@given(n=st.integers(0, 20), size=st.integers(1, 8))
def test_batches_are_all_documents_in_order(n: int, size: int) -> None:
    docs = DocumentArray(Document(str(i)) for i in range(n))
    batches = list(docs.batch(size))
    assert [text for batch in batches for text in batch.texts] == docs.texts
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(0 < len(batch) <= size for batch in batches)


def test_a_batch_has_a_size() -> None:
    with pytest.raises(ValidationError, match="at least 1"):
        next(letters().batch(0))


def test_the_same_seed_gives_the_same_order() -> None:
    docs = letters()
    assert docs.shuffle(seed=1).texts == docs.shuffle(seed=1).texts
    assert sorted(docs.shuffle(seed=1).texts) == docs.texts
    assert len({tuple(docs.shuffle(seed=i).texts) for i in range(10)}) > 1
    assert docs.sample(2, seed=1).texts == docs.sample(2, seed=1).texts
    assert len(set(docs.sample(5).texts)) == 5


@pytest.mark.parametrize("k", [-1, 6])
def test_a_sample_is_not_larger_than_all(k: int) -> None:
    with pytest.raises(ValidationError, match="from 5 documents"):
        letters().sample(k)


def test_paths() -> None:
    inner = Document("c", matches=[Document("cm")])
    docs = DocumentArray([Document("r", chunks=[inner], matches=[Document("m")]), Document("s")])
    assert docs.traverse("r").texts == docs.traverse("").texts == ["r", "s"]
    assert docs.traverse("c").texts == ["c"]
    assert docs.traverse("cm").texts == docs.traverse_flat("cm").texts == ["cm"]
    assert docs.traverse("r, c,m").texts == ["r", "s", "c", "m"]
    docs.traverse("c").texts = ["changed"]
    assert inner.text == "changed"
    with pytest.raises(ValidationError, match="'x' is no step"):
        docs.traverse("cx")


def test_equal_arrays() -> None:
    assert letters() == letters()
    assert letters() != letters("abcd")
    assert letters() != list(letters())
    assert repr(letters()) == "<DocumentArray of 5>"
    with pytest.raises(TypeError):
        hash(letters())


# -- match -------------------------------------------------------------------------------------


def placed(*points: list[float], prefix: str = "p") -> DocumentArray:
    return DocumentArray(
        Document(f"{prefix}{i}", id=f"{prefix}{i}", embedding=np.array(point, np.float32))
        for i, point in enumerate(points)
    )


def test_matches_are_scored_copies_nearest_first() -> None:
    others = placed([0, 1], [1, 0], [2, 2], prefix="o")
    others[0].scores["old"] = 1.0
    others[0].matches.append(Document("not copied"))
    docs = placed([0, 5])
    docs.match(others, limit=2)
    first, second = docs[0].matches
    assert (first.text, second.text) == ("o0", "o2")
    assert first.id == others[0].id
    assert first.scores == {"old": 1.0, "cosine": pytest.approx(1.0)}
    assert second.scores == {"cosine": pytest.approx(0.5**0.5)}
    assert len(first.matches) == 0
    assert first.embedding is others[0].embedding
    assert [d.scores for d in others] == [{"old": 1.0}, {}, {}]


def test_matching_an_array_with_itself() -> None:
    docs = placed([0, 0], [0, 1], [0, 3])
    for _ in range(2):  # the second time there are matches already
        docs.match(docs, metric="euclidean", exclude_self=True)
    assert [d.matches.texts for d in docs] == [["p1", "p2"], ["p0", "p2"], ["p1", "p0"]]
    assert all(len(m.matches) == 0 for d in docs for m in d.matches)
    docs.match(docs, metric="euclidean", limit=1)
    assert [d.matches[0].text for d in docs] == ["p0", "p1", "p2"]


def test_self_is_told_by_its_id() -> None:
    docs = placed([0, 1])
    twins = placed([0, 1], [0, 1])
    twins[1].id = "p0"
    docs.match(twins + placed([9, 9], prefix="x"), exclude_self=True)
    assert docs[0].matches.ids == ["x0"]


def test_nothing_to_match() -> None:
    docs = placed([0, 1])
    docs.match(DocumentArray())
    assert len(docs[0].matches) == 0
    DocumentArray().match(docs)


@pytest.mark.parametrize("state", ["list", "columns"])
def test_what_cannot_be_matched_is_named(state: str) -> None:
    docs = placed([0, 1], [1, 0])
    if state == "columns":
        docs = DocumentArray.from_columns(2, docs.columns())
    other = placed([0, 1], [1, 0])
    other[1].embedding = None
    with pytest.raises(ValidationError, match=r"other documents\[1\] has no embedding"):
        docs.match(other)
    other[1].embedding = np.zeros(3, np.float32)
    with pytest.raises(ValidationError, match=r"other documents\[1\].embedding has shape \(3,\)"):
        docs.match(other)
    with pytest.raises(ValidationError, match="of 2 numbers cannot be compared with 3"):
        docs.match(placed([1, 2, 3]))
    with pytest.raises(ValidationError, match="Did you mean 'cosine'"):
        docs.match(docs, metric="cosinus")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="at least 1"):
        docs.match(docs, limit=0)
    assert len(docs[0].matches) == 0
