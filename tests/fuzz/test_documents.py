"""Documents in every form, as strangers may send them: read, refused with one of our errors, or written again."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from dure.document.array import DocumentArray
from dure.document.forms import (
    COLUMNS,
    EMBEDDINGS,
    EMBEDDINGS_BASE64,
    JSON,
    PROTOBUF,
    between,
    decode_form,
    encode_form,
    text_sizes,
    with_ids,
)
from dure.document.oip_tensors import OIP
from tests.documents import content
from tests.fuzz.mutation import around, as_json, odd, repeated
from tests.fuzz.samples import DOCUMENTS, RENDERINGS, ROWS, TENSORS
from tests.fuzz.search import Bounds, Search, value_or_error

FORMS = {**DOCUMENTS, OIP: TENSORS}
WRITTEN_AS = (COLUMNS, PROTOBUF, JSON, EMBEDDINGS, EMBEDDINGS_BASE64, *RENDERINGS)


def _columns(payload: bytes) -> Any:
    size = int.from_bytes(payload[:4], "little")
    return [msgspec.msgpack.decode(payload[4 : 4 + size]), payload[4 + size + -(4 + size) % 8 :]]


def _columns_again(parts: Any) -> bytes:
    head, rest = _parts(parts)
    return len(head).to_bytes(4, "little") + head + b"\0" * (-(4 + len(head)) % 8) + rest


def _tensors(payload: bytes) -> Any:
    size = int.from_bytes(payload[4:8], "little")
    return [msgspec.msgpack.decode(payload[8 : 8 + size]), payload[8 + size + -size % 8 :]]


def _tensors_again(parts: Any) -> bytes:
    head, rest = _parts(parts)
    return b"OIP\xff" + len(head).to_bytes(4, "little") + head + b"\0" * (-len(head) % 8) + rest


def _parts(parts: Any) -> tuple[bytes, bytes]:
    head, rest = parts if isinstance(parts, list) and len(parts) == 2 else (parts, b"")
    return msgspec.msgpack.encode(_packable(head)), rest if isinstance(rest, bytes) else b""


def _packable(value: Any) -> Any:
    """Return the value without whole numbers that msgpack has no word for."""
    if isinstance(value, dict):
        return {_packable(key): _packable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_packable(inner) for inner in value]
    return str(value) if type(value) is int and not -(2**63) <= value < 2**64 else value


DESCRIBED: dict[str, st.SearchStrategy[bytes]] = {
    COLUMNS: odd([_columns(one) for one in DOCUMENTS[COLUMNS]], [b"", b"\xff" * 8, {1: 2}]).map(_columns_again),
    OIP: odd([_tensors(one) for one in TENSORS], [b"", "raw", "json", "typed"]).map(_tensors_again),
    JSON: as_json(odd(ROWS)),
}
"""Payloads whose descriptions say something else than what is there."""


def _check(form: str) -> Callable[[bytes], None]:
    def check(payload: bytes) -> None:
        sizes = value_or_error(lambda: text_sizes(form, payload))
        documents = value_or_error(lambda: Bounds().check(len(payload), lambda: decode_form(form, payload)))
        if documents is None:
            return
        assert isinstance(documents, DocumentArray)
        if sizes is not None:
            assert sizes == [len((document.text or "").encode()) for document in documents]
        given = value_or_error(lambda: with_ids(form, payload))
        if given is not None:
            assert decode_form(between(form), given).texts == documents.texts
        for other in WRITTEN_AS:
            _check_written(documents, other)

    return check


def _check_written(documents: DocumentArray, form: str) -> None:
    written = value_or_error(lambda: b"".join(encode_form(form, documents)))
    if written is None or form in (EMBEDDINGS, EMBEDDINGS_BASE64) or form in RENDERINGS[1:]:
        return
    again = decode_form(form, written)
    if form in (COLUMNS, JSON):
        assert [content(one) for one in again] == [content(one) for one in documents], form


@pytest.mark.parametrize("form", FORMS)
def test_payloads_that_were_changed(search: Search, form: str) -> None:
    search(around(FORMS[form]), _check(form))


@pytest.mark.parametrize("form", DESCRIBED)
def test_payloads_that_lie(search: Search, form: str) -> None:
    search(DESCRIBED[form], _check(form))


@pytest.mark.parametrize("form", FORMS)
def test_payloads_of_many_times_the_same(search: Search, form: str) -> None:
    def check(payload: bytes) -> None:
        for read in (decode_form, text_sizes):
            value_or_error(lambda read=read: Bounds().check(len(payload), lambda: read(form, payload)))  # type: ignore[misc]

    search(repeated(FORMS[form]), check)


@st.composite
def _long_values(draw: st.DrawFn) -> bytes:
    """Draw documents that hold one long value among many short ones: what is made of them must not be long for each."""
    field = draw(st.sampled_from(("tensor", "embedding", "tags", "scores", "text")))
    long: Any = draw(st.sampled_from(["x" * 30_000, [0] * 10_000, {"a" * 30_000: 1}]))
    short: Any = draw(st.sampled_from(["", 0, [], {}, None, 1.5]))
    values = [long, *[short] * 10_000]
    value = draw(st.sampled_from([values, [values], [[value] for value in values], {"a": values}]))
    return json.dumps([{field: value}] if draw(st.booleans()) else [{field: one} for one in values]).encode()


def test_one_long_value_among_short_ones(search: Search) -> None:
    search(
        _long_values(),
        lambda payload: value_or_error(lambda: Bounds().check(len(payload), lambda: decode_form(JSON, payload))),
    )
