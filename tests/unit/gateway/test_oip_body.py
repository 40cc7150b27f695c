"""HTTP bodies of the Open Inference Protocol: headers that lie, sizes that do not add up."""

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.document.forms import encode_form
from dure.document.oip_tensors import Rendering, form_of
from dure.errors import DecodeError, RequestError, ValidationError
from dure.gateway.oip_body import read, write
from dure.gateway.oip_call import Infer, request_of
from dure.gateway.router import Outcome


def tensor(name: str = "tensor", size: int | None = None, **more: Any) -> dict[str, Any]:
    parameters = {} if size is None else {"parameters": {"binary_data_size": size}}
    return {"name": name, "datatype": "UINT8", "shape": [2], **parameters, **more}


def body(*inputs: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"inputs": inputs, **more}).encode()


def test_json_and_bytes_in_one_body() -> None:
    head = body(tensor("embedding", 2), tensor("tensor", data=[1, 2]), tensor("x", 3), id="가", parameters={"k": 1})
    infer = read(head + b"abcde", str(len(head)).encode())
    assert (infer.id, infer.parameters, infer.binary) == ("가", {"k": 1}, False)
    assert [(one.coding, bytes(one.piece)) for one in infer.inputs] == [
        ("raw", b"ab"),
        ("json", b"[1, 2]"),
        ("raw", b"cde"),
    ]


def test_null_is_nothing() -> None:
    infer = read(body(tensor(data=[1, 2], parameters=None), id=None, parameters=None, outputs=None), None)
    assert (infer.id, infer.parameters, infer.outputs) == ("", {}, [])


@pytest.mark.parametrize("length", [b"-1", b"+5", b"1e3", b"", b"9" * 30, b"99999", "٣".encode(), b"1_0"])
def test_a_length_that_lies_is_refused(length: bytes) -> None:
    with pytest.raises(DecodeError, match="Inference-Header-Content-Length"):
        read(body(tensor("x", 2)) + b"ab", length)


@pytest.mark.parametrize("size", [-1, 3, 2**63, 2**64, 1.0, True, "2", None])
def test_a_size_that_lies_is_refused(size: Any) -> None:
    head = json.dumps({"inputs": [{**tensor(), "parameters": {"binary_data_size": size}}]}).encode()
    with pytest.raises(DecodeError, match="binary_data_size"):
        read(head + b"ab", str(len(head)).encode())


def test_bytes_of_no_input_are_refused() -> None:
    head = body(tensor("x", 1))
    with pytest.raises(DecodeError, match="2 bytes follow the JSON, of which inputs have 1"):
        read(head + b"ab", str(len(head)).encode())


def test_data_and_bytes_at_once_are_refused() -> None:
    head = body(tensor("x", 1, data=[1]))
    with pytest.raises(DecodeError):
        read(head + b"a", str(len(head)).encode())


def test_a_body_of_one_tensor_is_refused() -> None:
    with pytest.raises(ValidationError, match="say in JSON"):
        read(b"abc", b"0")


def test_shared_memory_is_refused() -> None:
    with pytest.raises(ValidationError, match="shared_memory_region"):
        read(body(tensor(parameters={"shared_memory_region": "r", "shared_memory_byte_size": 4})), None)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"inputs": 1}', b'{"inputs": [{"name": "a"}]}', b"\xff", b"[" * 9999]
)
def test_what_is_no_request_is_refused(text: bytes) -> None:
    with pytest.raises(RequestError):
        read(text, None)


def test_parameters_are_not_nested_without_end() -> None:
    deep = b'{"inputs": [], "parameters": {"k": ' + b"[" * 200 + b"]" * 200 + b"}}"
    with pytest.raises(DecodeError, match="deep"):
        read(deep, None)
    with pytest.raises(RequestError, match="Expected `object"):
        read(b'{"inputs": [], "parameters": [1]}', None)


@given(
    inputs=st.lists(
        st.fixed_dictionaries(
            {
                "name": st.sampled_from(["text", "tensor", "x"]),
                "datatype": st.sampled_from(["BYTES", "FP32", "x"]),
                "shape": st.lists(st.integers(-(2**70), 2**70) | st.integers(0, 3), max_size=40),
                "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-3, 40) | st.none()}),
            }
        ),
        max_size=3,
    ),
    rest=st.binary(max_size=40),
    off=st.integers(-2, 2),
)
def test_no_body_does_harm(inputs: list[dict[str, Any]], rest: bytes, off: int) -> None:
    head = body(*inputs)
    with contextlib.suppress(RequestError):
        request, _ = request_of("/a", read(head + rest, str(len(head) + off).encode()))
        assert request.rows <= len(rest)


def answered(rendering: Rendering, **more: Any) -> Outcome:
    docs = DocumentArray([Document("가")])
    return Outcome(1, b"".join(encode_form(form_of(rendering), docs)), **{"results": {}, **more})


def test_an_answer_in_json() -> None:
    rendering = Rendering(binary=False)
    results = {"one": msgspec.msgpack.encode({"n": 1})}
    infer = Infer("7", {}, [], [], binary=False)
    written, head_length = write("a/b", infer, answered(rendering, results=results), rendering)
    assert head_length is None
    assert json.loads(written) == {
        "model_name": "a/b",
        "model_version": "1",
        "id": "7",
        "parameters": {"results": '{"one":{"n":1}}'},
        "outputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["가"]}],
    }


def test_an_answer_with_bytes_says_where_they_begin() -> None:
    rendering = Rendering()
    written, head_length = write("a", Infer("", {}, [], [], binary=True), answered(rendering), rendering)
    assert head_length is not None
    told = json.loads(written[:head_length])
    assert told["outputs"][0]["parameters"] == {"binary_data_size": 7}
    assert "id" not in told
    assert written[head_length:] == b"\3\0\0\0" + "가".encode()
