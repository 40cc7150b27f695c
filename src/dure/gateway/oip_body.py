"""Requests and answers of the Open Inference Protocol as HTTP bodies: JSON, then the bytes of tensors.

Knows nothing of connections and routes.
"""

from typing import Any

import msgspec

from dure.document.oip_tensors import Rendering, open_answer
from dure.errors import DecodeError, RequestError, ValidationError
from dure.gateway.http_exchange import to_json
from dure.gateway.json_depth import check_depth
from dure.gateway.oip_call import Infer, Input, check_input_parameters, results_of
from dure.gateway.oip_models import VERSION
from dure.gateway.router import Outcome

HEAD_LENGTH = b"inference-header-content-length"
"""Header that says where the JSON ends and the bytes begin."""

_MAX_DIGITS = 12


_NOTHING = b"null"


class _Input(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] | None = None
    data: msgspec.Raw = msgspec.Raw(_NOTHING)


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Body(msgspec.Struct):
    inputs: list[_Input]
    id: str | None = None
    parameters: msgspec.Raw = msgspec.Raw(_NOTHING)
    outputs: list[_Output] | None = None


_read_parameters = msgspec.json.Decoder(dict[str, Any] | None).decode
_read = msgspec.json.Decoder(_Body).decode


def read(body: bytes, head_length: bytes | None) -> Infer:
    """Read a request; `head_length` is the header's value, None where there is none.

    Raises:
        DecodeError: Not JSON, or sizes that do not add up.
        RequestError: JSON of another kind.
        ValidationError: Parameters of inputs that are not known.
    """
    size = _head_length(head_length, len(body))
    view = memoryview(body)
    try:
        found: _Body = _read(view[:size])
        check_depth(bytes(found.parameters))
        parameters = _read_parameters(found.parameters) or {}
    except msgspec.ValidationError as error:
        raise RequestError(
            'the body must be like {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["…"]}]}:'
            f" {error}"
        ) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DecodeError(f"the body is not JSON: {error}") from error
    rest, at = view[size:], 0
    inputs: list[Input] = []
    for one in found.inputs:
        said = dict(one.parameters or {})
        nbytes = said.pop("binary_data_size", None)
        check_input_parameters(one.name, said)
        data = memoryview(one.data)
        if nbytes is None and data != _NOTHING:
            inputs.append(Input(one.name, one.datatype, one.shape, "json", data))
            continue
        if type(nbytes) is not int or data != _NOTHING or not 0 <= nbytes <= len(rest) - at:
            raise DecodeError(
                f"input {one.name!r:.60} needs data, or a binary_data_size of at most the {len(rest) - at:,} bytes"
                f" that are left after the JSON, not {nbytes!r:.40}"
            )
        inputs.append(Input(one.name, one.datatype, one.shape, "raw", rest[at : at + nbytes]))
        at += nbytes
    if at != len(rest):
        raise DecodeError(f"{len(rest):,} bytes follow the JSON, of which inputs have {at:,} (binary_data_size)")
    outputs = [(one.name, one.parameters or {}) for one in found.outputs or ()]
    return Infer(found.id or "", parameters, inputs, outputs, binary=False)


def _head_length(given: bytes | None, size: int) -> int:
    if given is None:
        return size
    if not given.isdigit() or len(given) > _MAX_DIGITS or int(given) > size:
        raise DecodeError(
            f"Inference-Header-Content-Length must be a number of bytes, at most the {size:,} of the body,"
            f" not {given.decode('latin-1')!r:.40}"
        )
    if int(given) == 0:
        raise ValidationError("a body that is one tensor and nothing else is not read here: say in JSON what it holds")
    return int(given)


def write(model: str, infer: Infer, outcome: Outcome, rendering: Rendering) -> tuple[bytes, int | None]:
    """Return the body of an answer, and where its JSON ends, if something may follow."""
    outputs, data = open_answer(outcome.payload)
    head: dict[str, Any] = {"model_name": model, "model_version": VERSION}
    if infer.id:
        head["id"] = infer.id
    if results := results_of(outcome):
        head["parameters"] = {"results": results}
    written = b"".join([to_json(head)[:-1], b',"outputs":', outputs, b"}"])
    if not rendering.any_binary:
        return written, None
    return b"".join([written, data]), len(written)
