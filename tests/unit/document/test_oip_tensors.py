"""Names, types, shapes and sizes of tensors, without a look at their bytes."""

import pytest

from dure.document.oip_tensors import (
    COLUMN_TYPES,
    OIP,
    Rendering,
    Tensor,
    columns_of,
    form_of,
    is_packed,
    pack,
    rendering_of,
    unpack,
)
from dure.errors import DecodeError, ValidationError


def test_what_is_packed_is_unpacked() -> None:
    first, second = Tensor("text", "BYTES", [1], "json", 5), Tensor("tensor", "INT8", [1, 3], "raw", 3)
    payload, rows = pack([(first, b'["a"]'), (second, b"abc")])
    assert rows == 1
    assert is_packed(payload)
    assert len(payload) % 8 == 0
    inputs, pieces = unpack(payload)
    assert (inputs.tensors, inputs.rows) == ([first, second], 1)
    assert [bytes(piece) for piece in pieces] == [b'["a"]', b"abc"]


@pytest.mark.parametrize("cut", [0, 3, 8, 20, -8, -1])
def test_half_a_payload_is_refused(cut: int) -> None:
    payload, _ = pack([(Tensor("text", "BYTES", [1], "json", 5), b'["a"]')])
    with pytest.raises(DecodeError):
        unpack(payload[:cut])
    with pytest.raises(DecodeError):
        unpack(payload + bytes(8))


@pytest.mark.parametrize(
    ("inputs", "columns"),
    [
        ([("text", "BYTES"), ("tensor", "INT64")], ["text", "tensor"]),
        ([("INPUT0", "BYTES")], ["text"]),
        ([("INPUT0", "FP16")], ["tensor"]),
        ([("embedding", "FP32")], ["embedding"]),
    ],
)
def test_the_columns_of_inputs(inputs: list[tuple[str, str]], columns: list[str]) -> None:
    assert columns_of(inputs) == columns


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], "at least one input"),
        ([("text", "BYTES"), ("text", "BYTES")], "'text' is there twice"),
        ([("text", "BYTES"), ("tensr", "FP32")], "Did you mean 'tensor'"),
    ],
)
def test_inputs_without_a_column(inputs: list[tuple[str, str]], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        columns_of(inputs)
    if "Did" in words:
        assert all(name in str(caught.value) for name in COLUMN_TYPES)


@pytest.mark.parametrize(
    "rendering",
    [Rendering(), Rendering(binary=False, ids=True), Rendering([("text", True), ("embedding", False)])],
)
def test_a_form_tells_what_is_wanted(rendering: Rendering) -> None:
    assert rendering_of(form_of(rendering)) == rendering
    assert rendering_of(OIP) is None


@pytest.mark.parametrize(
    ("rendering", "expected"),
    [
        (Rendering(), True),
        (Rendering(binary=False), False),
        (Rendering([("text", False)], binary=True), False),
        (Rendering([("text", False), ("blob", True)], binary=False), True),
    ],
)
def test_whether_anything_is_binary(rendering: Rendering, expected: bool) -> None:
    assert rendering.any_binary is expected
