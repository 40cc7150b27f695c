"""Requests and answers of the Open Inference Protocol as gRPC messages.

The bytes of tensors are handed on as they are. Knows nothing of connections.
"""

from collections.abc import Mapping
from typing import Any

from dure.document.oip_messages import messages
from dure.document.oip_tensors import outputs_of
from dure.errors import DecodeError, DureError, ValidationError
from dure.gateway.job import Answer
from dure.gateway.oip_call import Infer, Input, check_input_parameters, check_size, results_of
from dure.gateway.oip_models import VERSION
from dure.gateway.router import Outcome

_FOR_HTTP = ("binary_data", "binary_data_output")


def infer_of(message: Any, max_bytes: int) -> Infer:
    """Read a `ModelInferRequest`.

    Raises:
        DecodeError: Contents that are there twice or not at all.
        TooLarge: It has more bytes than that.
        ValidationError: Parameters that are not known here.
    """
    raw = message.raw_input_contents
    check_size(sum(map(len, raw)) + sum([len(one.contents) for one in message.inputs]), max_bytes)
    if raw and (len(raw) != len(message.inputs) or any(one.contents for one in message.inputs)):
        raise DecodeError(
            f"there are {len(message.inputs)} inputs and {len(raw)} raw_input_contents: either every input has one of"
            " these, or its own contents"
        )
    inputs = []
    for i, one in enumerate(message.inputs):
        check_input_parameters(one.name, one.parameters)
        coding, piece = ("raw", raw[i]) if raw else ("typed", one.contents)
        inputs.append(Input(one.name, one.datatype, list(one.shape), coding, piece))
    outputs = [(one.name, _values(one.parameters)) for one in message.outputs]
    return Infer(message.id, _values(message.parameters), inputs, outputs, binary=True)


def _values(parameters: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, parameter in parameters.items():
        kind = parameter.WhichOneof("one")
        if kind is None:
            raise DecodeError(f"parameter {name!r:.60} has no value")
        if name in _FOR_HTTP:
            raise ValidationError(f"parameter {name!r} is for HTTP; over gRPC all outputs are in binary")
        values[name] = getattr(parameter, kind)
    return values


def answer_of(message: Any, answer: Outcome | Answer) -> Any:
    """Return the `ModelInferResponse` to a request: an answer, or a part of one."""
    response = _head(message)
    for output, data in outputs_of(answer.payload):
        response.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        response.raw_output_contents.append(bytes(data))
    if isinstance(answer, Outcome) and (results := results_of(answer)):
        response.parameters["results"].string_param = results
    return response


def streamed(message: Any, answer: Outcome | Answer | None, *, final: bool) -> Any:
    """Return the `ModelStreamInferResponse` with an answer, a part of one, or with nothing but that it is the last."""
    response = _head(message) if answer is None else answer_of(message, answer)
    response.parameters["triton_final_response"].bool_param = final
    return messages.ModelStreamInferResponse(infer_response=response)


def streamed_error(message: Any, error: DureError) -> Any:
    """Return the `ModelStreamInferResponse` with an error, and the id of the request that it answers."""
    text = str(error.args[0]) if error.args else ""
    return messages.ModelStreamInferResponse(error_message=text or error.code, infer_response=_head(message))


def _head(message: Any) -> Any:
    return messages.ModelInferResponse(model_name=message.model_name, model_version=VERSION, id=message.id)
