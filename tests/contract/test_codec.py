"""One suite for every form that documents travel in: what is valid comes back, nothing else does harm."""

import contextlib
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.document import dure_pb2 as pb
from dure.document.array import DocumentArray
from dure.document.bounds import MAX_NESTING
from dure.document.document import Document
from dure.document.forms import COLUMNS, PROTOBUF, decode_form, encode_form, text_sizes
from dure.errors import DecodeError, ValidationError
from tests.documents import KOREAN, MOJIBAKE, TROUBLE, content, lists_of_documents

forms = pytest.mark.parametrize("form", [COLUMNS, PROTOBUF])


def written(form: str, docs: DocumentArray) -> bytes:
    return b"".join(encode_form(form, docs))


def came_back(form: str, docs: DocumentArray) -> DocumentArray:
    return decode_form(form, written(form, docs))


# -- what is valid comes back -----------------------------------------------------------------


@forms
@given(items=lists_of_documents)
def test_documents_come_back_with_their_types(form: str, items: list[Document]) -> None:
    found = came_back(form, DocumentArray(items))
    assert [content(d) for d in found] == [content(d) for d in items]


@forms
@given(items=lists_of_documents)
def test_columns_written_again_give_the_same(form: str, items: list[Document]) -> None:
    once = came_back(form, DocumentArray(items))
    assert not once.is_list
    assert came_back(form, once) == DocumentArray(items)


@forms
@pytest.mark.parametrize("text", [*TROUBLE, KOREAN, MOJIBAKE], ids=ascii)
def test_text_comes_back_byte_for_byte(form: str, text: str) -> None:
    docs = DocumentArray([Document(text, uri=text, tags={text: [text]})])
    assert came_back(form, docs).texts == [text]
    assert came_back(form, docs)[0].tags == {text: [text]}


@forms
@given(items=lists_of_documents)
def test_sizes_of_texts_are_told_without_the_rest(form: str, items: list[Document]) -> None:
    payload = written(form, DocumentArray(items))
    assert text_sizes(form, payload) == [len((d.text or "").encode()) for d in items]


@forms
@given(payload=st.binary(max_size=40))
def test_sizes_of_texts_of_what_is_no_payload(form: str, payload: bytes) -> None:
    with contextlib.suppress(DecodeError):
        assert all(size >= 0 for size in text_sizes(form, payload))
    with pytest.raises(DecodeError, match="unknown form of documents 'xml'"):
        text_sizes("xml", payload)


@forms
def test_a_flag_is_true_or_false(form: str) -> None:
    payload = written(form, DocumentArray([Document(id="a", tensor=np.array([True] * 8))]))
    assert payload.count(b"\1" * 8) == 1
    with pytest.raises(DecodeError, match="a byte of bool is 0 or 1"):
        decode_form(form, payload.replace(b"\1" * 8, b"\1" * 7 + b"\2"))


def test_complex_embeddings_are_not_sent_in_part() -> None:
    with pytest.raises(ValidationError, match="complex"):
        encode_form("embeddings", DocumentArray([Document(embedding=np.ones(2, np.complex64))]))


def test_a_number_of_documents_that_lies_makes_no_list_of_as_many() -> None:
    meta = msgspec.msgpack.encode([2**32 - 1, []])
    columns = struct.pack("<I", len(meta)) + meta + bytes(-(4 + len(meta)) % 8)
    for form, payload in ((COLUMNS, columns), (PROTOBUF, pb.Documents(rows=2**32 - 1).SerializeToString())):
        for read in (text_sizes, decode_form):
            with pytest.raises(DecodeError, match="4294967295"):
                read(form, payload)


@forms
def test_no_documents(form: str) -> None:
    assert len(came_back(form, DocumentArray())) == 0


@forms
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint64", "complex64"])
def test_arrays_of_one_shape_come_back_as_one(form: str, dtype: str) -> None:
    docs = DocumentArray([Document(embedding=np.full(3, i, dtype)) for i in range(4)])
    found = came_back(form, docs).embeddings
    assert found.dtype == dtype
    assert found.tolist() == docs.embeddings.tolist()


@forms
def test_rows_of_no_numbers_keep_their_shape(form: str) -> None:
    docs = DocumentArray([Document(tensor=np.zeros((0, 3), np.float32)) for _ in range(2)])
    assert came_back(form, docs).tensors.shape == (2, 0, 3)


@forms
def test_nan_in_arrays_is_kept(form: str) -> None:
    docs = DocumentArray([Document(embedding=np.array([np.nan, np.inf, -0.0], np.float32))])
    assert came_back(form, docs).embeddings.tobytes() == docs.embeddings.tobytes()


@forms
def test_numbers_of_numpy_become_plain_ones(form: str) -> None:
    docs = DocumentArray([Document(tags={"n": np.int64(3), "x": np.float32(0.5), "l": (1, 2)})])
    assert repr(came_back(form, docs)[0].tags) == "{'n': 3, 'x': 0.5, 'l': [1, 2]}"


def test_arrays_share_the_memory_of_the_payload() -> None:
    payload = bytearray(written(COLUMNS, DocumentArray([Document(embedding=np.ones(4))])))
    found = decode_form(COLUMNS, payload)
    found.embeddings[0, 0] = 7.0
    assert decode_form(COLUMNS, payload).embeddings[0, 0] == 7.0
    assert not decode_form(COLUMNS, bytes(payload)).embeddings.flags.writeable


def test_arrays_are_not_copied_to_be_sent() -> None:
    embeddings = np.ones((8, 4), np.float32)
    docs = DocumentArray([Document() for _ in range(8)])
    docs = DocumentArray.from_columns(8, {"id": docs.ids, "embedding": embeddings})
    pieces = encode_form(COLUMNS, docs)
    assert any(np.shares_memory(np.frombuffer(piece, np.uint8), embeddings) for piece in pieces)


@forms
def test_an_id_that_was_never_looked_at_is_the_same_afterwards(form: str) -> None:
    docs = DocumentArray.from_columns(2, {"text": ["a", "b"]})
    assert came_back(form, docs).ids == docs.ids


# -- what cannot travel is refused where it is sent ---------------------------------------------


def _recursive() -> Document:
    document = Document("a")
    document.chunks = DocumentArray([document])
    return document


def _with(**fields: Any) -> Callable[[], Document]:
    def make() -> Document:
        document = Document()
        for name, value in fields.items():
            setattr(document, name, value)
        return document

    return make


CANNOT_TRAVEL: dict[str, Callable[[], Document]] = {
    "lone surrogate in text": _with(text="a\ud800b"),
    "lone surrogate in tags": _with(tags={"a": "\udfff"}),
    "lone surrogate in a key": _with(tags={"\ud800": 1}),
    "bytes in tags": _with(tags={"a": b"x"}),
    "a set in tags": _with(tags={"a": {1}}),
    "an object in tags": _with(tags={"a": [object()]}),
    "a key that is a number": _with(tags={"a": {1: 2}}),
    "tags that are a list": _with(tags=["a"]),
    "text that is a number": _with(text=5),
    "blob that is text": _with(blob="x"),
    "tensor of texts": _with(tensor=np.array(["a"])),
    "tensor of objects": _with(tensor=np.array([None, 1])),
    "tensor of dates": _with(tensor=np.array(["2020-01-01"], "datetime64[D]")),
    "attribute that is no field": _with(embeding=[1.0]),
    "a document inside itself": _recursive,
}


@forms
@pytest.mark.parametrize("case", CANNOT_TRAVEL)
def test_what_cannot_travel_is_refused(form: str, case: str) -> None:
    docs = DocumentArray([Document("fine"), CANNOT_TRAVEL[case]()])
    with pytest.raises(ValidationError):
        written(form, docs)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_an_int_of_more_than_64_bits_is_refused(value: int) -> None:
    with pytest.raises(ValidationError, match="tags of document 1"):
        written(COLUMNS, DocumentArray([Document(), Document(tags={"n": value})]))


def test_tags_that_contain_themselves_are_refused() -> None:
    tags: dict[str, Any] = {}
    tags["self"] = [tags]
    with pytest.raises(ValidationError, match="contains itself"):
        written(COLUMNS, DocumentArray([Document(tags=tags)]))


def test_the_message_names_the_document_and_the_path() -> None:
    docs = DocumentArray([Document("fine"), Document(tags={"a": {"b": [0, b"x"]}})])
    with pytest.raises(ValidationError, match=r"tags of document 1\['a'\]\['b'\]\[1\] is a bytes"):
        written(COLUMNS, docs)


# -- bytes that are no payload do no harm -------------------------------------------------------

EXAMPLES = DocumentArray(
    [
        Document("가", id="1", blob=b"\0\1", tags={"n": 1, "l": [1.5, None]}, scores={"s": 0.5}),
        Document("b", id="2", embedding=np.arange(3.0), uri="u", chunks=[Document("c", id="3")]),
        Document(id="4", tensor=np.zeros((2, 2), np.int8), embedding=np.ones(3)),
    ]
)


def survives(form: str, *payloads: bytes) -> None:
    """Read bytes and all that is in them: they are documents, or a DecodeError, and never huge."""
    tracemalloc.start()
    try:
        for payload in payloads:
            with contextlib.suppress(DecodeError):
                docs = decode_form(form, payload)
                assert len(docs) <= len(payload)
                for document in docs.traverse("r,c,m"):
                    repr((document.id, document.text, document.tags, document.embedding))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000 + 1000 * max(map(len, payloads))
    finally:
        tracemalloc.stop()


@forms
@given(payload=st.binary(max_size=200))
def test_random_bytes(form: str, payload: bytes) -> None:
    survives(form, payload)


@forms
def test_every_truncation(form: str) -> None:
    payload = written(form, EXAMPLES)
    survives(form, *(payload[:length] for length in range(len(payload))))


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, -9, -8, -1])
def test_a_payload_cut_short_is_no_payload(length: int) -> None:
    with pytest.raises(DecodeError):
        decode_form(COLUMNS, written(COLUMNS, EXAMPLES)[:length])


@pytest.mark.parametrize("more", [b"\0", b"\0" * 8])
def test_bytes_after_the_payload_are_refused(more: bytes) -> None:
    with pytest.raises(DecodeError, match="describes"):
        decode_form(COLUMNS, written(COLUMNS, EXAMPLES) + more)


@forms
def test_flipped_bits(form: str) -> None:
    payload = written(form, EXAMPLES)
    number, size = int.from_bytes(payload), len(payload)
    survives(form, *((number ^ 1 << bit).to_bytes(size) for bit in range(0, 8 * size, 3)))


@forms
@given(cuts=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=6)), max_size=4))
def test_bytes_put_in_between(form: str, cuts: list[tuple[int, bytes]]) -> None:
    payload = written(form, EXAMPLES)
    for at, new in cuts:
        payload = payload[:at] + new + payload[at + 3 :]
    survives(form, payload)


def described(*meta: Any, buffers: bytes = b"") -> bytes:
    data = msgspec.msgpack.encode(meta)
    return struct.pack("<I", len(data)) + data + b"\0" * (-(4 + len(data)) % 8) + buffers


wild = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 9)
    | st.sampled_from([2**31, 2**62, 2**64 - 1, "<f4", "|b1", "O", "f4,f4", 0.5, b"x", "a"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=6,
)
wild_columns = st.tuples(
    st.sampled_from(["id", "text", "blob", "tensor", "embedding", "tags", "scores", "chunks", "x"]),
    st.sampled_from(["values", "bytes", "array", "arrays", "documents", "x"]),
    wild,
    st.sampled_from(["<f4", "", "|b1", "O", ">f8"]) | st.text(max_size=3),
    st.lists(st.sampled_from([-1, 0, 1, 2, 3, 2**31, 2**62, 2**64 - 1]), max_size=3),
    st.sampled_from([0, 1, 4, 8, 16, -1, 2**62]),
)


@given(
    rows=st.sampled_from([0, 1, 2, 3, -1, 2**40]),
    columns=st.lists(wild_columns, max_size=3),
    has_ids=st.booleans(),
    buffers=st.binary(max_size=3).map(lambda b: b * 8),
)
def test_wild_descriptions(rows: int, columns: list[Any], has_ids: bool, buffers: bytes) -> None:
    ids: list[Any] = []
    if has_ids:
        ids = [("id", "values", ["x"] * min(max(rows, 0), 3), "", [], 0)]
    survives(COLUMNS, described(rows, ids + columns, buffers=buffers))


def _nested(depth: int) -> bytes:
    payload = described(1, [("id", "values", ["a"], "", [], 0)])
    for _ in range(depth):
        columns: list[Any] = [
            ("id", "values", ["a"], "", [], 0),
            ("chunks", "documents", [1], "", [], len(payload)),
        ]
        payload = described(1, columns, buffers=payload)
    return payload


def _raw(meta: bytes) -> bytes:
    return struct.pack("<I", len(meta)) + meta + b"\0" * (-(4 + len(meta)) % 8)


def hostile() -> Iterator[tuple[str, str, bytes]]:
    ids: Any = ("id", "values", ["a", "b"], "", [], 0)
    huge = [2**62, 2**62, 0]
    yield COLUMNS, "rows and nothing else", described(2**40, [])
    yield COLUMNS, "rows below zero", described(-1, [])
    yield COLUMNS, "rows of no bytes", described(2**40, [("tensor", "array", None, "<f4", [2**40, 0], 0)])
    yield COLUMNS, "an axis no array has", described(2, [ids, ("tensor", "array", None, "<f4", [2, *huge], 0)])
    yield COLUMNS, "one number for all", described(2, [ids, ("tensor", "array", None, "<f4", [], 4)], buffers=b"\0" * 8)
    shape = [2**63] * 100_000
    yield COLUMNS, "a shape without end", described(2, [ids, ("tensor", "arrays", [["<f4", shape], None], "", [], 0)])
    yield COLUMNS, "objects", described(2, [ids, ("tensor", "array", None, "|O", [2], 16)], buffers=b"\0" * 16)
    yield COLUMNS, "a length below zero", described(2, [ids, ("blob", "bytes", [-2, 2], "", [], 0)])
    yield COLUMNS, "lengths that lie", described(2, [ids, ("blob", "bytes", [2**62, 1], "", [], 8)], buffers=b"\0" * 8)
    yield COLUMNS, "the same column twice", described(2, [ids, ids])
    yield COLUMNS, "a list for a text", described(2, [("id", "values", ["a", ["b"]], "", [], 0)])
    yield COLUMNS, "keys that are numbers", described(2, [ids, ("tags", "values", [{1: 2}, None], "", [], 0)])
    yield COLUMNS, "too many documents inside documents", _nested(MAX_NESTING + 1)
    yield COLUMNS, "lists without end", _raw(b"\x91" * 200_000)
    yield COLUMNS, "a list of 4 billion", _raw(b"\x92\x01\xdd\xff\xff\xff\xff")
    yield COLUMNS, "a map of 4 billion", _raw(b"\x92\x01\xdf\xff\xff\xff\xff")
    yield COLUMNS, "text that is not UTF-8", _raw(b"\x92\x00\x91\x96\xa2\xb0\xa1\xa0\xc0\xa0\x90\x00")
    yield COLUMNS, "a description longer than all", b"\xff\xff\xff\x7f" + b"\0" * 20
    yield PROTOBUF, "rows and nothing else", pb.Documents(rows=2**32 - 1).SerializeToString()
    tensor = pb.Tensors(dtype="<f4", shape=[0])
    yield PROTOBUF, "rows of no bytes", pb.Documents(rows=2**31, tensor=tensor).SerializeToString()
    tensor = pb.Tensors(dtype="|O", shape=[1], data=b"\0" * 8)
    yield PROTOBUF, "objects", pb.Documents(rows=1, id=["a"], tensor=tensor).SerializeToString()
    tensor = pb.Tensors(dtype="<f4", shape=[0, 2**31, 2**31])
    yield PROTOBUF, "an axis no array has", pb.Documents(rows=1, id=["a"], tensor=tensor).SerializeToString()
    deep = pb.Documents(rows=1, id=["a"], tags_json=["[" * 100_000])
    yield PROTOBUF, "tags without end", deep.SerializeToString()
    yield PROTOBUF, "tags that are a list", pb.Documents(rows=1, tags_json=["[]"]).SerializeToString()
    nested = pb.Documents(rows=1, id=["a"])
    for _ in range(MAX_NESTING + 1):
        nested = pb.Documents(rows=1, id=["a"], chunks=[nested])
    yield PROTOBUF, "too many documents inside documents", nested.SerializeToString()
    yield PROTOBUF, "more texts than documents", pb.Documents(rows=1, text=["a", "b"]).SerializeToString()


@pytest.mark.parametrize(("form", "name", "payload"), [pytest.param(*h, id=f"{h[0]}-{h[1]}") for h in hostile()])
def test_hostile_payloads(form: str, name: str, payload: bytes) -> None:
    survives(form, payload)
    with pytest.raises(DecodeError):
        decode_form(form, payload)


@forms
def test_both_sides_agree_how_deep_documents_may_be_nested(form: str) -> None:
    document = Document("deepest")
    for _ in range(MAX_NESTING):
        document = Document(chunks=[document])
    found = came_back(form, DocumentArray([document]))
    assert found.traverse("c" * MAX_NESTING).texts == ["deepest"]
    with pytest.raises(ValidationError, match="deep"):
        written(form, DocumentArray([Document(matches=[document])]))
