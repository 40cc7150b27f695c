"""Messages of the Open Inference Protocol's gRPC service, read and written."""

from typing import Any

import msgspec
import numpy as np
import pytest

from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.document.forms import encode_form
from dure.document.oip_messages import messages
from dure.document.oip_tensors import Rendering, form_of
from dure.errors import DecodeError, ExecutorError, QueueFull, TooLarge, ValidationError
from dure.gateway.oip_envelope import answer_of, infer_of, streamed, streamed_error
from dure.gateway.router import Outcome

CONTENTS = messages.InferTensorContents(int_contents=[1]).SerializeToString()


def message(*inputs: dict[str, Any], raw: tuple[bytes, ...] = (), **parameters: dict[str, Any]) -> Any:
    return messages.ModelInferRequest(
        model_name="m", id="가", inputs=inputs, raw_input_contents=raw, parameters=parameters
    )


def tensor(**more: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "INT8", "shape": [1], **more}


def test_either_form_of_contents() -> None:
    [one, two] = infer_of(message(tensor(), tensor(), raw=(b"a", b"")), 10).inputs
    assert (one.coding, one.piece, two.coding, two.piece) == ("raw", b"a", "raw", b"")
    [one] = infer_of(message(tensor(contents=CONTENTS)), 10).inputs
    assert (one.coding, one.piece) == ("typed", CONTENTS)


@pytest.mark.parametrize(
    "mixed",
    [
        message(tensor(), raw=(b"a", b"b")),
        message(tensor(), tensor(), raw=(b"a",)),
        message(tensor(contents=CONTENTS), raw=(b"a",)),
        message(raw=(b"a",)),
    ],
)
def test_both_forms_at_once_are_refused(mixed: Any) -> None:
    with pytest.raises(DecodeError, match="raw_input_contents"):
        infer_of(mixed, 10)


def test_parameters_keep_their_types() -> None:
    given: dict[str, dict[str, Any]] = {
        "a": {"bool_param": True},
        "b": {"int64_param": -1},
        "c": {"string_param": "가"},
        "d": {"double_param": 0.5},
        "e": {"uint64_param": 2**64 - 1},
    }
    infer = infer_of(message(tensor(), raw=(b"a",), **given), 10)
    assert infer.parameters == {"a": True, "b": -1, "c": "가", "d": 0.5, "e": 2**64 - 1}
    assert infer.binary


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        (message(tensor(), raw=(b"a",), k={}), DecodeError, "'k' has no value"),
        (message(tensor(), raw=(b"a",), binary_data_output={"bool_param": False}), ValidationError, "for HTTP"),
        (message(tensor(), raw=(b"a" * 11,)), TooLarge, "max_request_bytes=10"),
        (message(tensor(contents=b"a" * 11)), TooLarge, "max_request_bytes=10"),
        (
            message(tensor(parameters={"shared_memory_region": {"string_param": "r"}}), raw=(b"a",)),
            ValidationError,
            "shared_memory_region",
        ),
    ],
    ids=["empty", "json", "raw", "typed", "memory"],
)
def test_what_is_refused(asked: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        infer_of(asked, 10)


def outcome(**more: Any) -> Outcome:
    docs = DocumentArray([Document("가", embedding=np.ones(2, np.float32))])
    return Outcome(1, b"".join(encode_form(form_of(Rendering()), docs)), **{"results": {}, **more})


def test_an_answer_has_its_contents_raw_and_in_order() -> None:
    results = {"one": msgspec.msgpack.encode({"n": 1})}
    answer = answer_of(message(), outcome(results=results))
    assert (answer.model_name, answer.model_version, answer.id) == ("m", "1", "가")
    assert [(one.name, one.datatype, list(one.shape)) for one in answer.outputs] == [
        ("text", "BYTES", [1]),
        ("embedding", "FP32", [1, 2]),
    ]
    assert list(answer.raw_output_contents) == [b"\3\0\0\0" + "가".encode(), np.ones(2, "<f4").tobytes()]
    assert answer.parameters["results"].string_param == '{"one":{"n":1}}'


@pytest.mark.parametrize("final", [True, False])
def test_what_is_streamed_says_whether_it_is_the_last(final: bool) -> None:
    for answer in (outcome(), None):
        reply = streamed(message(), answer, final=final)
        assert reply.infer_response.parameters["triton_final_response"].bool_param is final
        assert len(reply.infer_response.outputs) == (0 if answer is None else 2)


def test_a_streamed_error_names_its_request() -> None:
    reply = streamed_error(message(), ExecutorError("failed", remote_traceback="Traceback: secret"))
    assert (reply.error_message, reply.infer_response.id) == ("failed", "가")
    assert streamed_error(message(), QueueFull("")).error_message == "queue_full", "an empty one would be no error"
