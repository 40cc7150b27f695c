"""What the Open Inference Protocol's parameters mean to us."""

from typing import Any

import msgspec
import pytest

from dure.document.oip_tensors import Rendering, rendering_of
from dure.errors import DecodeError, TooLarge, ValidationError
from dure.gateway.oip_call import PRIORITY_LEVELS, Infer, Input, check_size, request_of
from dure.gateway.router import Request
from dure.spec import MAX_PRIORITY


def asked(
    parameters: dict[str, Any] | None = None, outputs: list[tuple[str, dict[str, Any]]] | None = None, **more: Any
) -> tuple[Request, Rendering]:
    inputs = [Input("x", "BYTES", [1], "raw", b"\1\0\0\0a")]
    return request_of("/a", Infer("", parameters or {}, inputs, outputs or [], **{"binary": False, **more}))


def test_other_parameters_are_the_methods() -> None:
    request, _ = asked({"k": [1, "가"], "priority": 0, "timeout": 0})
    assert msgspec.msgpack.decode(request.parameters) == {"k": [1, "가"]}
    assert (request.endpoint, request.rows, request.priority, request.timeout_s) == ("/a", 1, 0, 0)


def test_one_is_the_highest_priority() -> None:
    levels = [asked({"priority": level})[0].priority for level in (1, 2, 101, PRIORITY_LEVELS)]
    assert levels == [MAX_PRIORITY, MAX_PRIORITY - 1, 0, -MAX_PRIORITY]


def test_a_timeout_is_in_microseconds() -> None:
    assert asked({"timeout": 1_500_000})[0].timeout_s == 1.5


@pytest.mark.parametrize(
    ("parameters", "outputs", "expected"),
    [
        ({}, [], Rendering(binary=False)),
        ({"binary_data_output": True}, [], Rendering(binary=True)),
        ({"binary_data_output": True}, [("text", {})], Rendering([("text", True)], binary=True)),
        ({}, [("text", {"binary_data": True}), ("id", {})], Rendering([("text", True), ("id", False)], binary=False)),
    ],
)
def test_how_outputs_are_wanted(
    parameters: dict[str, Any], outputs: list[tuple[str, dict[str, Any]]], expected: Rendering
) -> None:
    request, rendering = asked(parameters, outputs)
    assert rendering == expected == rendering_of(request.form)


@pytest.mark.parametrize(
    ("parameters", "outputs", "words"),
    [
        ({"priority": -1}, [], "priority"),
        ({"priority": True}, [], "priority"),
        ({"timeout": 0.5}, [], "timeout"),
        ({"timeout": 2**64}, [], "timeout"),
        ({"binary_data_output": 1}, [], "binary_data_output"),
        ({"sequence_id": 7}, [], "sequence"),
        ({"headers": "x"}, [], "reserved"),
        ({"triton_x": 1}, [], "reserved"),
        ({}, [("text", {}), ("text", {"binary_data": True})], "asked for twice"),
        ({}, [("nothing", {})], "no output is named 'nothing'"),
        ({}, [("text", {"classification": 3})], "classification"),
        ({}, [("text", {"shared_memory_region": "r"})], "shared_memory_region"),
        ({}, [("text", {"binary_data": "yes"})], "binary_data"),
    ],
)
def test_what_is_not_heeded_is_refused(
    parameters: dict[str, Any], outputs: list[tuple[str, dict[str, Any]]], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        asked(parameters, outputs)


@pytest.mark.parametrize("shape", [[], [-1], [2**63], [1] * 33])
def test_what_is_no_shape_is_refused(shape: list[int]) -> None:
    with pytest.raises(DecodeError, match="is no shape"):
        request_of("/a", Infer("", {}, [Input("x", "FP32", shape, "raw", b"")], [], binary=True))


def test_numbers_of_more_than_64_bits_are_refused() -> None:
    with pytest.raises(DecodeError, match="parameters"):
        asked({"k": 2**64})


def test_what_is_too_large_is_refused() -> None:
    check_size(10, 10)
    with pytest.raises(TooLarge, match="max_request_bytes=10"):
        check_size(11, 10)
