"""What tags and scores may hold, as they are read and before they travel."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from dure.document import dicts
from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.document.forms import COLUMNS, JSON, PROTOBUF, decode_form, encode_form
from dure.errors import DecodeError, ValidationError


def test_rows_are_dicts() -> None:
    rows: list[Any] = [{}, None, ["a"]]
    with pytest.raises(ValidationError, match="tags of document 2 must be a dict"):
        dicts.check_column(rows, "tags")
    dicts.check_column(rows[:2], "tags")


def test_the_message_has_the_document() -> None:
    with pytest.raises(ValidationError, match=r"^tags of document 1\['a'\] is a Decimal"):
        dicts.check_column([None, {"a": Decimal(1)}], "tags")


@pytest.mark.parametrize("value", ["0.5", None, True, [0.5], np.bool_(True), np.array([0.5])])
@pytest.mark.parametrize("form", [COLUMNS, PROTOBUF, JSON])
def test_scores_are_numbers_in_every_form(form: str, value: Any) -> None:
    documents = DocumentArray([Document("a"), Document("b", scores={"cosine": value})])
    with pytest.raises(ValidationError, match=r"^scores of document 1\['cosine'\] must be a number"):
        encode_form(form, documents)
    with pytest.raises(ValidationError, match=r"must be a number"):
        documents[1].to_dict()


@pytest.mark.parametrize("form", [COLUMNS, PROTOBUF, JSON])
def test_scores_of_numpy_arrive_as_numbers(form: str) -> None:
    scores: dict[str, Any] = {"cosine": np.float32(0.5), "rank": np.int64(2)}
    documents = DocumentArray([Document("a", scores=scores)])
    (found,) = decode_form(form, b"".join(encode_form(form, documents)))
    assert found.scores == {"cosine": 0.5, "rank": 2}


def test_scores_in_columns_are_not_believed() -> None:
    payload = b"".join(encode_form(COLUMNS, DocumentArray([Document("a", scores={"cosine": 1e300})])))
    (number,) = [payload[i : i + 9] for i in range(len(payload)) if payload[i : i + 1] == b"\xcb"]
    with pytest.raises(DecodeError, match="must be a number"):
        decode_form(COLUMNS, payload.replace(number, b"\xa812345678"))


@pytest.mark.parametrize("name", ["tags", "scores"])
@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**400])
def test_what_json_holds_can_be_written_again(name: str, value: int) -> None:
    with pytest.raises(DecodeError, match=rf"^data\[0\]\.{name}: whole numbers have 64 bits at most"):
        decode_form(JSON, b'[{"%s": {"n": %d}}]' % (name.encode(), value))
