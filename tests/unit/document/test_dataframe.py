from typing import Any

import numpy as np
import pytest
from hypothesis import given

from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.errors import ValidationError
from tests.documents import MOJIBAKE, TROUBLE, content, lists_of_documents

pd = pytest.importorskip("pandas", reason="needs the extra `pandas`")


@given(items=lists_of_documents)
def test_documents_come_back(items: list[Document]) -> None:
    found = DocumentArray.from_dataframe(DocumentArray(items).to_dataframe())
    assert [content(d) for d in found] == [content(d) for d in items]


def test_a_frame_has_a_column_for_each_field_that_is_set() -> None:
    docs = DocumentArray([Document("a", id="1", tags={"n": 1}, embedding=np.ones(2)), Document(id="2")])
    frame = docs.to_dataframe()
    assert set(frame.columns) == {"id", "text", "tags", "embedding"}
    assert frame["text"].tolist() == ["a", ""]
    assert frame["tags"][0] == {"n": 1}
    assert frame["embedding"][0].tolist() == [1.0, 1.0]


def test_text_comes_back_byte_for_byte() -> None:
    texts = [*TROUBLE, MOJIBAKE]
    frame = DocumentArray(Document(text) for text in texts).to_dataframe()
    assert DocumentArray.from_dataframe(frame).texts == texts


def test_frames_of_others() -> None:
    frame = pd.DataFrame(
        {
            "sentence": ["a", "b"],
            "label": [1, 2],
            "share": [0.5, np.nan],
            "count": pd.array([1, None], dtype="Int64"),
            "embedding": [[1, 2], [3, 4]],
            "uri": ["u", None],
        },
        index=[7, 7],
    )
    docs = DocumentArray.from_dataframe(frame, text="sentence")
    assert docs.texts == ["a", "b"]
    assert docs.column("uri") == ["u", ""]
    assert repr(docs.tags[0]) == "{'label': 1, 'share': 0.5, 'count': 1}"
    assert repr(docs.tags[1]) == "{'label': 2, 'share': None, 'count': None}"
    assert docs.embeddings.dtype == np.float32
    assert docs.embeddings.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"txt": ["a"]}, "Did you mean 'txt'"),
        ({"text": ["a", None]}, r"column 'text', row 1: no value; with fillna\(''\)"),
        ({"text": [np.nan]}, "row 0: no value"),
        ({"text": [1]}, "column 'text', row 0: text must be str"),
        ({"text": ["a"], "tags": ["b"]}, "column 'tags', row 0: tags must be dict"),
        ({"text": ["a"], "embedding": ["b"]}, "column 'embedding', row 0 must be numbers"),
        ({"text": ["a"], "when": [pd.Timestamp("2020-01-01")]}, r"column 'when'\[0\] is a Times"),
        ({"text": ["a"], "tags": [{"x": 1}], "x": [1]}, "the tag 'x' is also a column"),
        ({"text": ["a"], 0: ["b"]}, "must have names"),
    ],
)
def test_frames_that_do_not_fit(columns: dict[Any, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DocumentArray.from_dataframe(pd.DataFrame(columns))


def test_what_pandas_cannot_hold() -> None:
    with pytest.raises(ValidationError, match="text does not fit"):
        DocumentArray([Document("\ud800")]).to_dataframe()


def test_no_documents() -> None:
    assert len(DocumentArray.from_dataframe(DocumentArray().to_dataframe())) == 0
