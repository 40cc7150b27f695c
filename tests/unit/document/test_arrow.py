from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.errors import ValidationError
from tests.documents import MOJIBAKE, TROUBLE, content, lists_of_documents

pa = pytest.importorskip("pyarrow", reason="needs the extra `arrow`")


def contents(documents: Any) -> list[dict[str, Any]]:
    return [content(document) for document in documents]


def of_one_shape(items: list[Document]) -> list[Document]:
    """A column of a table holds arrays of one shape and type, or none."""
    for name in ("tensor", "embedding"):
        values = [v for v in (getattr(d, name) for d in items) if v is not None and v.size]
        for document in items:
            value = getattr(document, name)
            if value is not None:
                first = values[0] if values else None
                setattr(document, name, first if value.size else None)
    return items


@given(items=lists_of_documents.map(of_one_shape))
def test_documents_come_back(items: list[Document]) -> None:
    found = DocumentArray.from_arrow(DocumentArray(items).to_arrow())
    assert not found.is_list
    assert contents(found) == contents(items)


@settings(max_examples=20)  # each is written to the disk for good
@given(items=lists_of_documents.map(of_one_shape))
def test_documents_come_back_from_parquet(tmp_path_factory: pytest.TempPathFactory, items: list[Document]) -> None:
    path = tmp_path_factory.getbasetemp() / "a.parquet"
    DocumentArray(items).to_parquet(path)
    assert contents(DocumentArray.from_parquet(path)) == contents(items)


def test_embeddings_are_shared_and_not_copied() -> None:
    embeddings = np.arange(12, dtype=np.float32).reshape(3, 4)
    docs = DocumentArray.from_columns(3, {"text": list("abc"), "embedding": embeddings})
    table = docs.to_arrow()
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 4)
    found = DocumentArray.from_arrow(table).embeddings
    assert np.shares_memory(found, embeddings)
    assert np.array_equal(found, embeddings)


def test_part_of_a_table_is_part_of_the_documents() -> None:
    docs = DocumentArray(Document(str(i), embedding=np.full(2, i)) for i in range(5))
    found = DocumentArray.from_arrow(docs.to_arrow().slice(1, 3))
    assert found.texts == ["1", "2", "3"]
    assert found.embeddings.tolist() == [[1, 1], [2, 2], [3, 3]]


def test_chunks_of_a_table_become_one() -> None:
    parts = [DocumentArray([Document(t, embedding=np.ones(2), id=t)]) for t in "ab"]
    table = pa.concat_tables([part.to_arrow() for part in parts])
    assert table.column("embedding").num_chunks == 2
    assert DocumentArray.from_arrow(table) == parts[0] + parts[1]


def test_some_without_embedding() -> None:
    docs = DocumentArray([Document(), Document(embedding=np.ones(2)), Document()])
    found = DocumentArray.from_arrow(docs.to_arrow()).embeddings
    assert [None if v is None else v.tolist() for v in found] == [None, [1.0, 1.0], None]


def test_vectors_of_several_lengths() -> None:
    docs = DocumentArray([Document(embedding=np.ones(n)) for n in (2, 0, 3)] + [Document()])
    assert contents(DocumentArray.from_arrow(docs.to_arrow())) == contents(docs)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (1, 2, 3)])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float64"])
def test_tensors_of_any_shape(shape: tuple[int, ...], dtype: str) -> None:
    docs = DocumentArray(Document(tensor=np.full(shape, i, dtype)) for i in range(3))
    found = DocumentArray.from_arrow(docs.to_arrow()).tensors
    assert (found.dtype, found.shape) == (np.dtype(dtype), (3, *shape))
    assert np.array_equal(found, docs.tensors)


def test_text_comes_back_byte_for_byte() -> None:
    texts = [*TROUBLE, MOJIBAKE]
    docs = DocumentArray(Document(text, tags={"t": text}) for text in texts)
    found = DocumentArray.from_arrow(docs.to_arrow())
    assert found.texts == texts
    assert found.tags == [{"t": text} for text in texts]


def test_tables_of_others() -> None:
    table = pa.table(
        {
            "sentence": pa.array(["a", "b", None]).dictionary_encode(),
            "label": [1, 2, None],
            "score": [0.5, 1.0, None],
            "embedding": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
            "tags": pa.array([{"x": 1}, {"x": 2}, None]),
        }
    )
    docs = DocumentArray.from_arrow(table, text="sentence")
    assert docs.texts == ["a", "b", ""]
    assert repr(docs.tags[0]) == "{'x': 1, 'label': 1, 'score': 0.5}"
    assert docs.tags[2] == {"label": None, "score": None}
    assert docs.embeddings.shape == (3, 2)
    assert docs.embeddings.dtype == np.float64


def test_a_table_without_text_or_rows() -> None:
    assert DocumentArray.from_arrow(pa.table({"uri": ["a"]}), text=None).texts == [""]
    assert len(DocumentArray.from_arrow(DocumentArray().to_arrow())) == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"txt": ["a"]}, "Did you mean 'txt'"),
        ({"text": [1]}, "column 'text', row 0: 1 is no str"),
        ({"text": ["a"], "blob": ["b"]}, "'b' is no bytes"),
        ({"text": ["a"], "embedding": ["b"]}, "must hold numbers"),
        ({"text": ["a"], "embedding": [[1.0, None]]}, "none missing"),
        ({"text": ["a"], "embedding": [["b"]]}, "must hold numbers"),
        ({"text": ["a"], "embedding": [[[1.0]]]}, "must hold numbers"),
        ({"text": ["a"], "tags": ["{"]}, "column 'tags', row 0 is not JSON"),
        ({"text": ["a"], "tags": ["[]"]}, "must be an object"),
        ({"text": ["a"], "label": [b"x"]}, r"column 'label'\[0\] is a bytes"),
        ({"text": ["a"], "tags": ['{"x":1}'], "x": [1]}, "row 0: the tag 'x' is also"),
    ],
)
def test_tables_that_do_not_fit(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DocumentArray.from_arrow(pa.table(columns))


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([Document("\ud800")], "text does not fit"),
        ([Document(tags={"a": b"x"})], "is a bytes"),
        ([Document(tags={"a": float("nan")})], "is nan"),
        ([Document(tensor=np.zeros((1, 2))), Document(tensor=np.zeros((2, 1)))], "in shape"),
        ([Document(tensor=np.zeros(1)), Document(tensor=np.zeros(1, int))], "several types"),
        ([Document(tensor=np.zeros((2, 0)))], "in shape"),
        ([Document(tensor=np.zeros(1, complex))], "does not fit"),
    ],
)
def test_what_arrow_cannot_hold(documents: list[Document], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DocumentArray(documents).to_arrow()


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"not parquet at all")
    with pytest.raises(ValidationError, match="is no Parquet file"):
        DocumentArray.from_parquet(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        DocumentArray.from_parquet(tmp_path / "b")
