"""Forms by name."""

import pytest

from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.document.forms import (
    COLUMNS,
    EMBEDDINGS,
    EMBEDDINGS_BASE64,
    JSON,
    PROTOBUF,
    between,
    decode_form,
    encode_form,
)
from dure.document.oip_tensors import Rendering, form_of
from dure.errors import DecodeError

FORMS = (COLUMNS, JSON, PROTOBUF, EMBEDDINGS, EMBEDDINGS_BASE64, form_of(Rendering([("embedding", True)])))


@pytest.mark.parametrize("form", FORMS)
def test_executors_hand_on_whole_documents(form: str) -> None:
    """Also where a client is answered with a part of them."""
    docs = DocumentArray([Document("가", blob=b"\xff", tags={"k": 1}, chunks=DocumentArray([Document("b")]))])
    assert decode_form(form, b"".join(encode_form(between(form), docs))) == docs


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(DecodeError, match="'xml'"):
        decode_form("xml", b"")
