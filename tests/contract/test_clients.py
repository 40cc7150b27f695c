"""ONE suite for every way to call a Flow, {our own channel, gRPC} x {Client, AsyncClient}: what comes back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dure import Document, DocumentArray
from dure.client.results import Results
from dure.document import codec
from dure.errors import ExecutorError, SpecError, ValidationError
from tests.contract.callers import Caller
from tests.contract.services import numbered, overtaking
from tests.documents import KOREAN, MOJIBAKE, TROUBLE, content

# -- what goes in, and what comes back ---------------------------------------------------------------------------------


def test_every_field_comes_back(caller: Caller) -> None:
    sent = DocumentArray(
        [
            Document(
                id="하나",
                text=KOREAN,
                blob=bytes(range(256)),
                tensor=np.arange(24, dtype=np.int16).reshape(2, 3, 4),
                embedding=np.linspace(-1, 1, 384, dtype=np.float32),
                tags={"int": 1, "float": 1.0, "big": 2**63, "bool": True, "none": None, "list": [1, 1.0, "x"], "d": {}},
                scores={"cosine": 0.25},
                uri="file:///없는/파일.png",
                mime_type="image/png",
                chunks=[Document(text="chunk", matches=[Document(text="match of a chunk")])],
                matches=[Document(text="match", scores={"cosine": 1.0})],
            ),
            Document(),
            Document(text="only text"),
        ]
    )
    back = caller.post("/same", sent)
    assert [content(d) for d in back] == [content(d) for d in sent]


@pytest.mark.parametrize("text", [*TROUBLE, MOJIBAKE * 1000], ids=lambda text: ascii(text)[:20])
def test_text_comes_back_byte_for_byte(caller: Caller, text: str) -> None:
    (back,) = caller.post("/same", [Document(text=text, uri=text, tags={"t": text, text: 1})])
    assert (back.text, back.uri, back.tags) == (text, text, {"t": text, text: 1})


def test_parameters_keep_their_types(caller: Caller) -> None:
    parameters = {
        "int": 1,
        "float": 1.0,
        "text": "1",
        "bool": True,
        "none": None,
        "list": [1, 1.5],
        "max": 2**64 - 1,
        "이름": {"a": [{}]},
    }
    told = caller.post("/told", "x", parameters=parameters).parameters["__results__"]["station"]
    assert told["parameters"] == parameters
    assert told["types"] == {name: type(value).__name__ for name, value in parameters.items()}


def test_numpy_parameters_arrive_as_numbers(caller: Caller) -> None:
    told = caller.post("/told", "x", parameters={"top_k": np.int64(3), "weights": np.array([0.5, 1.0])})
    assert told.parameters["__results__"]["station"]["parameters"] == {"top_k": 3, "weights": [0.5, 1.0]}


@pytest.mark.parametrize(
    "parameters",
    [{"b": b"bytes"}, {1: "number as key"}, {"s": {1}}, {"big": 2**64}, {"o": object()}, ["no dict"]],
    ids=str,
)
def test_parameters_that_would_arrive_as_something_else_are_refused(caller: Caller, parameters: Any) -> None:
    with pytest.raises(ValidationError, match="parameters"):
        caller.post("/told", "x", parameters=parameters)


def test_results_of_methods_that_return_a_dict(caller: Caller) -> None:
    back = caller.post("/told", numbered(3), parameters={"a": 1}, request_size=2)
    assert back.texts == ["0", "1", "2"]
    assert back.parameters == {"__results__": {"station": {"parameters": {"a": 1}, "types": {"a": "int"}}}}


FORMS: dict[str, tuple[Any, list[str]]] = {
    "document": (Document(text="a"), ["a"]),
    "str": ("a", ["a"]),
    "dict": ({"text": "a"}, ["a"]),
    "list": (["a", Document(text="b"), {"text": "c"}], ["a", "b", "c"]),
    "array": (DocumentArray([Document(text="a"), Document(text="b")]), ["a", "b"]),
    "columns": (codec.decode(b"".join(codec.encode(numbered(7)))), list("0123456")),
    "function": (lambda: (str(i) for i in range(5)), list("01234")),
    "function of one": (lambda: "a", ["a"]),
    "empty list": ([], []),
    "empty array": (DocumentArray(), []),
    "empty generator": (lambda: iter(()), []),
    "nothing": (None, []),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_inputs(caller: Caller, form: str) -> None:
    inputs, texts = FORMS[form]
    assert caller.post("/same", inputs, request_size=3).texts == texts


def test_generators_and_iterators_are_inputs(caller: Caller) -> None:
    assert caller.post("/same", (str(i) for i in range(5)), request_size=3).texts == list("01234")
    assert caller.post("/same", iter("ab"), request_size=3).texts == ["a", "b"]


def test_bytes_are_a_blob(caller: Caller) -> None:
    assert caller.post("/same", [b"\0\xff", b""]).blobs == [b"\0\xff", b""]


def test_nothing_is_sent_for_no_documents_but_one_request_for_no_inputs(caller: Caller, tmp_path: Path) -> None:
    seen: list[int] = []
    caller.post("/same", [], on_always=lambda results: seen.append(len(results)))
    assert seen == []
    caller.post("/same", on_always=lambda results: seen.append(len(results)))
    assert seen == [0]


@pytest.mark.parametrize("inputs", [3, [3], object(), [None]], ids=str)
def test_what_is_no_document_is_refused(caller: Caller, inputs: Any) -> None:
    with pytest.raises(ValidationError, match="inputs must be"):
        caller.post("/same", inputs)


@pytest.mark.parametrize("size", [1, 3, 7, 10, 11, 100])
def test_request_size(caller: Caller, size: int) -> None:
    sizes: list[int] = []
    caller.post("/same", numbered(10), request_size=size, on_done=lambda results: sizes.append(len(results)))
    full, rest = divmod(10, size)
    assert sizes == [size] * full + [rest] * bool(rest)


@pytest.mark.parametrize("options", [{"request_size": 0}, {"request_size": "2"}, {"requst_size": 2}], ids=str)
def test_wrong_options_are_refused(caller: Caller, options: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="request_size"):
        caller.post("/same", "x", **options)


# -- order and parts ---------------------------------------------------------------------------------------------------


def test_results_come_in_the_order_of_the_inputs(caller: Caller) -> None:
    assert caller.post("/sleep", overtaking, request_size=1).texts == [str(i) for i in range(12)]


def test_results_come_as_they_are_ready_if_so_wanted(caller: Caller) -> None:
    texts = caller.post("/sleep", overtaking, request_size=1, results_in_order=False).texts
    assert sorted(texts, key=int) == [str(i) for i in range(12)]
    assert texts[0] != "0"


@pytest.mark.parametrize("endpoint", ["/parts", "/async_parts"])
def test_parts_of_generators(caller: Caller, endpoint: str) -> None:
    whole = caller.post(endpoint, ["a", "b"], request_size=1, parameters={"count": 3})
    assert whole.texts == ["a0", "a1", "a2", "b0", "b1", "b2"]
    parts = [results.texts for results in caller.stream(endpoint, "a", parameters={"count": 3})]
    assert [texts for texts in parts if texts] == [["a0"], ["a1"], ["a2"]]


def test_parts_of_several_requests_come_in_order(caller: Caller) -> None:
    inputs = [str(i) for i in range(5)]
    parts = caller.stream("/async_parts", inputs, request_size=1, parameters={"count": 4})
    assert [text for results in parts for text in results.texts] == [f"{i}{j}" for i in inputs for j in range(4)]


def test_a_generator_of_parts_that_yields_none(caller: Caller) -> None:
    assert caller.post("/parts", ["a"], parameters={"count": 0}).texts == []


def test_parts_before_a_failure_are_delivered(caller: Caller) -> None:
    stream = caller.stream("/part_then_fail", "a")
    assert next(stream).texts == ["first"]
    with pytest.raises(ExecutorError, match="no second part"):
        next(stream)


def test_fewer_documents_more_and_none(caller: Caller) -> None:
    assert caller.post("/shorter", numbered(5)).texts == ["0", "2", "4"]
    assert caller.post("/longer", numbered(2), request_size=1).texts == ["00", "01", "02", "10", "11", "12"]
    assert caller.post("/none_left", numbered(3)).texts == []


def test_a_stream_is_read_as_it_comes_and_its_inputs_as_they_can_be_sent(caller: Caller) -> None:
    made = 0

    def endless() -> Iterator[Document]:
        nonlocal made
        while True:
            made += 1
            yield Document(text="x" * 1000)

    results = caller.stream("/same", endless, request_size=10)
    for _ in range(5):
        next(results)
    assert made <= 10 * (5 + 64)  # max_in_flight
    results.close()  # type: ignore[attr-defined]  # it is a generator


# -- callbacks ---------------------------------------------------------------------------------------------------------


def test_callbacks(caller: Caller) -> None:
    seen: list[tuple[str, list[str], bool]] = []

    def note(name: str) -> Any:
        return lambda results: seen.append((name, results.docs.texts, results.error is not None))

    back = caller.post(
        "/picky",
        ["a", "bad", "b"],
        request_size=1,
        on_done=note("done"),
        on_error=note("error"),
        on_always=note("always"),
    )
    assert len(back) == 0
    assert seen == [
        ("done", ["a"], False),
        ("always", ["a"], False),
        ("error", [], True),
        ("always", [], True),
        ("done", ["b"], False),
        ("always", ["b"], False),
    ]


def test_on_always_is_called_before_an_error_is_raised(caller: Caller) -> None:
    seen: list[bool] = []
    with pytest.raises(ExecutorError):
        caller.post("/picky", ["bad"], on_always=lambda results: seen.append(results.error is not None))
    assert seen == [True]


def test_an_exception_of_a_callback_is_the_callers_own(caller: Caller) -> None:
    class Mine(Exception):
        pass

    def fail(results: Results) -> None:
        raise Mine

    with pytest.raises(Mine):
        caller.post("/same", numbered(10), request_size=1, on_done=fail)
    assert caller.post("/same", "still here").texts == ["still here"]
