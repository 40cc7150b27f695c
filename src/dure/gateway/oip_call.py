"""From a request of the Open Inference Protocol, however it was sent, to one of ours.

Knows the parameters that the protocol reserves. The bytes of tensors are not looked into.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from dure.document.oip_tensors import Piece, Rendering, Tensor, check_column, columns_of, form_of, pack
from dure.errors import DecodeError, TooLarge, ValidationError
from dure.gateway.http_json import packed
from dure.gateway.router import Outcome, Request
from dure.spec import MAX_PRIORITY

PRIORITY_LEVELS = 2 * MAX_PRIORITY + 1
"""Levels of priority: 1 is the highest, the one in the middle the default."""

EMPTY_FINAL = "triton_enable_empty_final_response"
"""Parameter by which a client of a stream wants to be told the end of an answer in parts."""

_SEQUENCES = ("sequence_id", "sequence_start", "sequence_end")


class Input(msgspec.Struct):
    """An input as it was sent: what is said of it, and its bytes."""

    name: str
    datatype: str
    shape: list[int]
    coding: str
    piece: Piece


class Infer(msgspec.Struct):
    """A request to a model. `binary`: whether outputs are binary where nothing is said of it."""

    id: str
    parameters: dict[str, Any]
    inputs: list[Input]
    outputs: list[tuple[str, dict[str, Any]]]
    binary: bool


def request_of(endpoint: str, infer: Infer) -> tuple[Request, Rendering]:
    """Return the request, and how its answer is rendered.

    Raises:
        DecodeError: Sizes and shapes that do not agree.
        ValidationError: Names, types or parameters that are unknown, or have no such value.
    """
    parameters = dict(infer.parameters)
    priority = _whole(parameters.pop("priority", 0), "priority")
    timeout_us = _whole(parameters.pop("timeout", 0), "timeout")
    binary = parameters.pop("binary_data_output", infer.binary)
    if not isinstance(binary, bool):
        raise ValidationError(f"parameter 'binary_data_output' is true or false, not {binary!r:.40}")
    parameters.pop(EMPTY_FINAL, None)
    _check_reserved(parameters)
    if len({name for name, _ in infer.outputs}) < len(infer.outputs):  # of a small request, a large answer
        raise ValidationError("an output is asked for twice")
    names = columns_of([(one.name, one.datatype) for one in infer.inputs])
    tensors = [(_tensor(name, one), one.piece) for name, one in zip(names, infer.inputs, strict=True)]
    payload, rows = pack(tensors)
    rendering = Rendering([_output(name, given, binary) for name, given in infer.outputs], binary, "id" in names)
    request = Request(
        endpoint,
        packed(parameters),
        form_of(rendering),
        rows,
        payload,
        priority=PRIORITY_LEVELS // 2 + 1 - priority if priority else 0,
        timeout_s=timeout_us / 1e6,
    )
    return request, rendering


def results_of(outcome: Outcome) -> str:
    """Return the dicts that methods returned as one JSON object: Executor name -> dict; nothing if there are none."""
    if not outcome.results:
        return ""
    results = {name: msgspec.msgpack.decode(data) for name, data in outcome.results.items()}
    return msgspec.json.encode(results).decode()


def check_input_parameters(name: str, parameters: Iterable[str]) -> None:
    """Refuse whatever is said of an input that is not heeded.

    Raises:
        ValidationError: There is such a parameter, for example of shared memory.
    """
    for parameter in parameters:
        raise ValidationError(
            f"input {name!r:.60}: parameter {parameter!r:.60} is not known here; send the data itself"
        )


def check_size(size: int, max_bytes: int) -> None:
    """Refuse what is too large.

    Raises:
        TooLarge: It has more bytes than that.
    """
    if size > max_bytes:
        raise TooLarge(
            f"a request of {size:,} bytes is larger than this Flow accepts (max_request_bytes={max_bytes:,});"
            " send fewer documents a request, or raise the limit"
        )


def _tensor(name: str, one: Input) -> Tensor:
    nbytes = memoryview(one.piece).nbytes
    try:
        return msgspec.convert([name, one.datatype, one.shape, one.coding, nbytes], Tensor)
    except msgspec.ValidationError as error:
        raise DecodeError(f"input {one.name!r:.60}: {one.shape!r:.80} is no shape: {error}") from error


def _output(name: str, parameters: dict[str, Any], binary: bool) -> tuple[str, bool]:
    check_column(name, "output")
    wanted = parameters.get("binary_data", binary)
    if not isinstance(wanted, bool):
        raise ValidationError(f"output {name!r}: binary_data is true or false, not {wanted!r:.40}")
    for parameter in parameters:
        if parameter != "binary_data":
            raise ValidationError(f"output {name!r}: {parameter!r:.60} is not offered here; binary_data is")
    return name, wanted


def _whole(value: Any, name: str) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValidationError(f"parameter {name!r} is a whole number from 0, not {value!r:.40}")
    return value


def _check_reserved(parameters: dict[str, Any]) -> None:
    for name in parameters:
        if name in _SEQUENCES:
            raise ValidationError(f"parameter {name!r}: requests of a sequence are not kept together here")
        if name == "headers" or name.startswith("triton_"):
            raise ValidationError(f"parameter {name!r:.60} is reserved by the protocol, and not heeded here")
