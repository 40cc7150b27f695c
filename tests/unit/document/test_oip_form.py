"""Documents as tensors of the Open Inference Protocol: what is valid comes back, lies are refused before they cost."""

import contextlib
import json
import tracemalloc
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.document.forms import between, decode_form, encode_form, text_sizes
from dure.document.oip_messages import messages
from dure.document.oip_tensors import OIP, Rendering, Tensor, form_of, open_answer, outputs_of, pack
from dure.errors import DecodeError, ValidationError
from tests.documents import KOREAN, TROUBLE, texts

NUMPY = {
    "BOOL": "?",
    "INT8": "i1",
    "INT16": "i2",
    "INT32": "i4",
    "INT64": "i8",
    "UINT8": "u1",
    "UINT16": "u2",
    "UINT32": "u4",
    "UINT64": "u8",
    "FP16": "f2",
    "FP32": "f4",
    "FP64": "f8",
}
WITH_JSON = [name for name in NUMPY if name != "FP16"]
every_type = pytest.mark.parametrize("datatype", NUMPY)

shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3)


def strings(values: list[bytes]) -> bytes:
    return b"".join(len(value).to_bytes(4, "little") + value for value in values)


def raw(name: str, datatype: str, shape: list[int], data: bytes) -> tuple[Tensor, bytes]:
    return Tensor(name, datatype, shape, "raw", len(data)), data


def as_json(name: str, datatype: str, shape: list[int], values: Any) -> tuple[Tensor, bytes]:
    data = values if isinstance(values, bytes) else json.dumps(values).encode()
    return Tensor(name, datatype, shape, "json", len(data)), data


def typed(name: str, datatype: str, shape: list[int], **contents: Any) -> tuple[Tensor, bytes]:
    data = messages.InferTensorContents(**contents).SerializeToString()
    return Tensor(name, datatype, shape, "typed", len(data)), data


def read(*tensors: tuple[Tensor, bytes]) -> DocumentArray:
    return decode_form(OIP, pack(tensors)[0])


def answer(documents: DocumentArray, *wanted: tuple[str, bool], **settings: Any) -> list[tuple[dict[str, Any], bytes]]:
    """Return every output as it is told, and its bytes if it is binary."""
    payload = b"".join(encode_form(form_of(Rendering(list(wanted), **settings)), documents))
    heads, data = open_answer(payload)
    found, at = [], 0
    for head in json.loads(bytes(heads)):
        size = head.get("parameters", {}).get("binary_data_size", 0)
        found.append((head, bytes(data[at : at + size])))
        at += size
    assert at == len(data), "bytes that belong to no output"
    return found


# -- what is valid comes back --------------------------------------------------------------------------------------


@every_type
@given(data=st.data())
def test_numbers_come_back_in_binary(datatype: str, data: st.DataObject) -> None:
    array = data.draw(hnp.arrays(np.dtype(NUMPY[datatype]).newbyteorder("<"), shapes))
    docs = read(raw("tensor", datatype, list(array.shape), array.tobytes()))
    np.testing.assert_array_equal(docs.tensors, array)
    [(head, found)] = answer(docs, ("tensor", True))
    assert (head["datatype"], head["shape"], found) == (datatype, list(array.shape), array.tobytes())


@pytest.mark.parametrize("datatype", WITH_JSON)
@given(data=st.data())
def test_numbers_come_back_as_json(datatype: str, data: st.DataObject) -> None:
    finite = {"allow_nan": False, "allow_infinity": False} if datatype.startswith("FP") else {}
    array = data.draw(hnp.arrays(np.dtype(NUMPY[datatype]).newbyteorder("<"), shapes, elements=finite))
    values = array.ravel().tolist() if data.draw(st.booleans()) else array.tolist()
    docs = read(as_json("tensor", datatype, list(array.shape), values))
    column = docs.tensors
    assert column.dtype == array.dtype
    np.testing.assert_array_equal(column, array)
    [(head, _)] = answer(docs, ("tensor", False))
    assert (head["datatype"], head["shape"]) == (datatype, list(array.shape))
    np.testing.assert_array_equal(np.array(head["data"], array.dtype), array.ravel())


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool", [True, False]),
        ("INT8", "int", [-128, 127]),
        ("INT32", "int", [-(2**31), 2**31 - 1]),
        ("INT64", "int64", [-(2**63), 2**63 - 1]),
        ("UINT16", "uint", [0, 65535]),
        ("UINT64", "uint64", [0, 2**64 - 1]),
        ("FP32", "fp32", [0.5, float("inf")]),
        ("FP64", "fp64", [0.1, float("-inf")]),
    ],
)
def test_numbers_come_from_typed_contents(datatype: str, field: str, values: list[Any]) -> None:
    docs = read(typed("tensor", datatype, [2, 1], **{f"{field}_contents": values}))
    assert docs.tensors.dtype == np.dtype(NUMPY[datatype])
    assert docs.tensors.tolist() == [[value] for value in values]


@given(
    values=st.lists(texts, max_size=4), shape=st.sampled_from([[], [1]]), form=st.sampled_from(["raw", "json", "typed"])
)
def test_texts_come_back(values: list[str], shape: list[int], form: str) -> None:
    shape = [len(values), *shape]
    data = [value.encode() for value in values]
    tensor = {
        "raw": raw("text", "BYTES", shape, strings(data)),
        "json": as_json("text", "BYTES", shape, values),
        "typed": typed("text", "BYTES", shape, bytes_contents=data),
    }[form]
    docs = read(tensor)
    assert docs.texts == values
    assert text_sizes(OIP, pack([tensor])[0]) == [len(value) for value in data]
    [(head, found), (as_text, _)] = answer(docs, ("text", True), ("text", False))
    assert (head["shape"], found) == ([len(values)], strings(data))
    assert as_text["data"] == values


def test_every_column_of_bytes() -> None:
    docs = read(
        as_json("id", "BYTES", [2], ["a", KOREAN]),
        raw("blob", "BYTES", [2], strings([b"\xff\0", b""])),
        as_json("tags", "BYTES", [2], ['{"k": [1, 1.5, null]}', ""]),
        as_json("scores", "BYTES", [2], ["{}", '{"cosine": 0.5}']),
        as_json("uri", "BYTES", [2], ["u", ""]),
    )
    assert docs.ids == ["a", KOREAN]
    assert docs.blobs == [b"\xff\0", b""]
    assert [doc.tags for doc in docs] == [{"k": [1, 1.5, None]}, {}]
    assert docs[1].scores == {"cosine": 0.5}
    outputs = {head["name"]: (head, data) for head, data in answer(docs, ids=True)}
    assert outputs["id"][1] == strings([b"a", KOREAN.encode()])
    assert outputs["blob"][1] == strings([b"\xff\0", b""])
    assert outputs["tags"][1] == strings([b'{"k":[1,1.5,null]}', b"{}"])
    assert "text" not in outputs, "nobody set it, and nobody asked for it"


def test_an_empty_tensor_keeps_its_shape() -> None:
    docs = read(raw("tensor", "FP32", [0, 3], b""))
    assert len(docs) == 0
    [(head, data)] = answer(docs, ("tensor", True))
    assert (head["shape"], head["parameters"], data) == ([0, 3], {"binary_data_size": 0}, b"")
    [(head, _)] = answer(docs, ("tensor", False))
    assert (head["shape"], head["data"]) == ([0, 3], [])


def test_brain_floats_become_floats_exactly() -> None:
    wanted = np.array([1.0, -2.5, 3.0e38], np.float32)
    exact = (wanted.view(np.uint32) & 0xFFFF0000).view(np.float32)
    docs = read(raw("tensor", "BF16", [3], (exact.view(np.uint32) >> 16).astype("<u2").tobytes()))
    np.testing.assert_array_equal(docs.tensors, exact)


def test_arrays_are_views_where_they_can_be() -> None:
    array = np.arange(8, dtype="<f8").reshape(2, 4)
    payload = bytearray(pack([raw("embedding", "FP64", [2, 4], array.tobytes())])[0])
    column = decode_form(OIP, payload).embeddings
    assert not column.flags.owndata
    assert column.flags.writeable
    assert column.ctypes.data % 8 == np.frombuffer(payload, "u1").ctypes.data % 8, "aligned as the payload is"


def test_documents_without_ids_have_the_same_in_every_branch() -> None:
    payload, _ = pack([as_json("text", "BYTES", [2], ["a", "b"])])
    first, second = decode_form(OIP, payload), decode_form(OIP, payload)
    assert first.ids == second.ids
    assert len(set(first.ids)) == 2
    other, _ = pack([as_json("text", "BYTES", [2], ["a", "b"])])
    assert not set(first.ids) & set(decode_form(OIP, other).ids)
    assert [head["name"] for head, _ in answer(first)] == ["text"], "ids that nobody gave are not told"


def test_between_executors_everything_travels() -> None:
    docs = DocumentArray([Document("a", chunks=[Document("b")], tags={"k": 1})])
    form = form_of(Rendering([("text", True)]))
    assert between(form) == OIP
    found = decode_form(form, b"".join(encode_form(between(form), docs)))
    assert found == docs
    assert text_sizes(form, b"".join(encode_form(between(form), docs))) == [1]


def test_outputs_are_opened_again() -> None:
    docs = DocumentArray([Document("가", embedding=np.ones(2, np.float32)) for _ in range(2)])
    payload = b"".join(encode_form(form_of(Rendering([("embedding", True), ("text", True)])), docs))
    (first, data), (second, rest) = outputs_of(payload)
    assert (first.name, first.shape, bytes(data)) == ("embedding", [2, 2], np.ones((2, 2), "<f4").tobytes())
    assert (second.name, second.shape, bytes(rest)) == ("text", [2], strings(["가".encode()] * 2))


# -- lies are refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tensor",
    [
        raw("tensor", "FP32", [2, 3], bytes(23)),
        raw("tensor", "FP32", [2**62, 2**62, 4], bytes(16)),  # in 64 bits the product is 0
        raw("tensor", "FP32", [2**32, 2**32], b""),
        raw("tensor", "UINT8", [10**12, 0], b""),  # nothing bounds the number of documents
        raw("tensor", "UINT8", [0, 2**62, 2**62], b""),  # no array has such a shape
        raw("text", "BYTES", [2], strings([b"a"])),
        raw("text", "BYTES", [1], strings([b"a"]) + b"x"),
        raw("text", "BYTES", [1], b"\xff\xff\xff\xffab"),
        raw("text", "BYTES", [1], b"\2\0\0"),
        raw("text", "BYTES", [1], strings([b"\xff"])),
        as_json("text", "BYTES", [2], ["a"]),
        as_json("text", "BYTES", [1], [1]),
        as_json("text", "BYTES", [1], b'["\\ud800"]'),
        as_json("tensor", "INT8", [1], [128]),
        as_json("tensor", "UINT8", [1], [-1]),
        as_json("tensor", "INT64", [1], [1.5]),
        as_json("tensor", "INT64", [1], [2**64]),
        as_json("tensor", "INT32", [1], [True]),
        as_json("tensor", "BOOL", [1], [1]),
        as_json("tensor", "FP32", [1], [1e39]),
        as_json("tensor", "FP32", [1], b"[NaN]"),
        as_json("tensor", "FP32", [2, 2], [[1, 2], [3]]),
        as_json("tensor", "FP32", [2, 2], [[1, 2, 3], [4]]),
        as_json("tensor", "FP32", [2, 2], [1, 2, 3]),
        as_json("tensor", "FP32", [2, 2], [[[1], [2]], [[3], [4]]]),
        as_json("tensor", "FP32", [1], b"[1"),
        as_json("tensor", "FP32", [1], b"7"),
        typed("tensor", "INT8", [1], int_contents=[300]),
        typed("tensor", "FP32", [1], fp64_contents=[1.0]),
        typed("tensor", "FP32", [2], fp32_contents=[1.0]),
        (Tensor("tensor", "FP32", [1], "typed", 4), b"\xff\xff\xff\xff"),
    ],
    ids=lambda tensor: f"{tensor[0].coding} {tensor[0].datatype} {tensor[0].shape} {tensor[1]!r:.30}",
)
def test_what_does_not_fit_is_refused(tensor: tuple[Tensor, bytes]) -> None:
    with pytest.raises(DecodeError, match=f"{tensor[0].name}|documents do not fit"):
        read(tensor)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ([raw("tensor", "FP12", [1], b"")], "FP12.*there are.*FP32"),
        ([raw("tensor", "BYTES", [1], strings([b"a"]))], "holds numbers, not BYTES"),
        ([raw("text", "FP32", [1], bytes(4))], "holds BYTES, not FP32"),
        ([raw("text", "BYTES", [1, 2], strings([b"a", b"b"]))], r"\[n\] or \[n, 1\]"),
        ([as_json("tensor", "FP16", [1], [1.0])], "FP16 is sent in binary only"),
        ([typed("tensor", "FP16", [1], fp32_contents=[1.0])], "FP16 is sent in binary only"),
        ([as_json("tags", "BYTES", [1], ["[1]"])], r"tags\[0\] must be an object"),
        ([as_json("tags", "BYTES", [1], ["{"])], r"tags\[0\] is not JSON"),
        ([as_json("text", "BYTES", [1], ["a"]), raw("tensor", "INT8", [2], b"ab")], "must be as long.*1.*2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_acceptable_is_refused(tensors: list[tuple[Tensor, bytes]], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        read(*tensors)


@given(payload=st.binary(max_size=60), packed=st.booleans())
def test_any_bytes_are_refused_or_read(payload: bytes, packed: bool) -> None:
    with contextlib.suppress(DecodeError, ValidationError):
        decode_form(OIP, b"OIP\xff" + payload if packed else payload)
    with contextlib.suppress(DecodeError, ValidationError):
        text_sizes(OIP, b"OIP\xff" + payload if packed else payload)


heads = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["text", "tensor", "embedding", "tags", "x"]),
        "datatype": st.sampled_from([*NUMPY, "BYTES", "BF16", "x"]),
        "shape": st.lists(st.integers(-2, 3) | st.sampled_from([2**31, 2**62, 2**63 - 1, 2**64 - 1]), max_size=34),
        "coding": st.sampled_from(["raw", "json", "typed", "x"]),
        "nbytes": st.integers(-1, 20) | st.just(2**62),
    }
)


@given(head=heads, data=st.binary(max_size=20) | st.sampled_from([b"[1]", b"[[1,2]]", b'["a"]', b"[]"]))
def test_any_description_is_refused_or_read(head: dict[str, Any], data: bytes) -> None:
    """What a worker reads was checked by a gateway; it does not rely on that."""
    described = msgspec.msgpack.encode(["i", [list(head.values())]])
    start = b"OIP\xff" + len(described).to_bytes(4, "little") + described
    payload = start + bytes(-len(described) % 8) + data + bytes(-len(data) % 8)
    tracemalloc.start()
    with contextlib.suppress(DecodeError, ValidationError):
        decode_form(OIP, payload)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


# -- what an answer cannot hold --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "wanted", "words"),
    [
        (Document(embedding=np.array([np.nan], np.float32)), ("embedding", False), "NaN.*binary_data"),
        (Document(embedding=np.array([np.inf], np.float64)), ("embedding", False), "infinity.*binary_data"),
        (Document(tensor=np.ones(1, np.float16)), ("tensor", False), "FP16, which has no JSON form"),
        (Document(tensor=np.ones(1, np.complex64)), ("tensor", True), "complex64, which the protocol lacks"),
        (Document("a"), ("embeding", True), "Did you mean 'embedding'"),
        (Document("a"), ("chunks", True), "no output is named 'chunks'"),
        (Document(blob=b"\xff"), ("blob", False), "no text.*binary_data"),
        (Document("\ud800"), ("text", True), "cannot be sent"),
        (Document(tags={"k": float("nan")}), ("tags", True), "nan"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_output_that_cannot_be_is_an_error(document: Document, wanted: tuple[str, bool], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        answer(DocumentArray(document), wanted)


def test_nan_travels_in_binary() -> None:
    array = np.array([[np.nan, np.inf]], "<f4")
    [(_, data)] = answer(DocumentArray(Document(embedding=array[0])), ("embedding", True))
    assert data == array.tobytes()


def test_arrays_of_several_shapes_are_no_tensor() -> None:
    docs = DocumentArray([Document(tensor=np.ones(1)), Document(tensor=np.ones(2))])
    with pytest.raises(ValidationError, match="not of one shape"):
        answer(docs)


@pytest.mark.parametrize("text", TROUBLE, ids=ascii)
def test_text_comes_back_byte_for_byte(text: str) -> None:
    [(head, _), (_, data)] = answer(DocumentArray(Document(text)), ("text", False), ("text", True))
    assert head["data"] == [text]
    assert data == strings([text.encode()])


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(DecodeError, match="unknown form"):
        encode_form(OIP + "x", DocumentArray())
