"""ONE suite for every way to call a Flow: what fails fails alone, and is told as it was raised."""

from collections.abc import Iterator
from typing import Any

import pytest

from dure import Document
from dure.errors import EndpointNotFound, ExecutorError, TooLarge, ValidationError
from tests.contract.callers import MAX_REQUEST_BYTES, Caller
from tests.contract.services import Refused, numbered


def test_failures_are_told_apart(caller: Caller) -> None:
    texts = ["a", "b", "bad", "c", "d", "bad", "e"]
    back = caller.post("/picky", texts, request_size=2, continue_on_error=True)
    assert back.texts == ["a", "b", "e"]
    assert [(failure.start, failure.documents.texts) for failure in back.failures] == [
        (2, ["bad", "c"]),
        (4, ["d", "bad"]),
    ]
    assert back.error is back.failures[0].error
    assert {type(failure.error) for failure in back.failures} == {ExecutorError}


def test_a_stream_that_goes_on_yields_failures_in_their_place(caller: Caller) -> None:
    stream = caller.stream("/picky", ["a", "bad", "b"], request_size=1, continue_on_error=True)
    assert [(results.texts, len(results.failures)) for results in stream] == [(["a"], 0), ([], 1), (["b"], 0)]


def test_the_error_of_a_method_is_told_whole(caller: Caller) -> None:
    with pytest.raises(ExecutorError) as caught:
        caller.post("/picky", ["bad"])
    error = caught.value
    assert (error.executor, error.endpoint) == ("station", "/picky")
    assert error.original_type == f"{Refused.__module__}.Refused"
    assert error.original_message == str(Refused("나쁜 문서 💥", 1))
    assert 'raise Refused("나쁜 문서 💥", len(docs))' in error.remote_traceback
    assert "station failed at /picky" in str(error)


def test_what_came_back_before_an_error_is_in_it(caller: Caller) -> None:
    with pytest.raises(ExecutorError) as caught:
        caller.post("/picky", ["a", "b", "bad", "c"], request_size=1)
    assert caught.value.results.texts == ["a", "b"]  # type: ignore[attr-defined]  # documented in post


@pytest.mark.parametrize(
    ("endpoint", "parameters", "message"),
    [
        ("/raise", {"kind": "unprintable"}, "its text cannot be had"),
        ("/raise", {"kind": "surrogate"}, r"ValueError: \\ud800"),
        ("/cancelled", {}, "CancelledError"),
        ("/wrong_type", {}, "returned a int"),
        ("/bad_dict", {}, r"the dict returned\['when'\] is a set"),
    ],
)
def test_whatever_a_method_does_wrong_is_answered(
    caller: Caller, endpoint: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ExecutorError, match=message):
        caller.post(endpoint, "x", parameters=parameters)
    assert caller.post("/same", "still here").texts == ["still here"]


def test_an_unknown_endpoint_names_those_there_are(caller: Caller) -> None:
    with pytest.raises(EndpointNotFound, match=r"'/smae'\. Did you mean '/same'\?.*/number") as caught:
        caller.post("/smae", "x")
    assert type(caught.value) is EndpointNotFound


def test_a_generator_of_inputs_that_raises_half_way(caller: Caller) -> None:
    class Mine(Exception):
        pass

    mine = Mine("half-way")

    def broken() -> Iterator[Document]:
        yield from numbered(5)
        raise mine

    with pytest.raises(Mine) as caught:
        caller.post("/same", broken, request_size=2)
    assert caught.value is mine
    assert mine.results.texts == list("01234")  # type: ignore[attr-defined]  # documented in post

    stream = caller.stream("/same", broken, request_size=2)
    assert [next(stream).texts for _ in range(3)] == [["0", "1"], ["2", "3"], ["4"]]
    with pytest.raises(Mine):
        next(stream)


def test_an_input_that_cannot_travel_fails_alone(caller: Caller) -> None:
    inputs = ["a", Document(text="b", tags={"no": {1, 2}}), "c"]
    back = caller.post("/same", inputs, request_size=1, continue_on_error=True)
    assert back.texts == ["a", "c"]
    assert [(failure.start, type(failure.error)) for failure in back.failures] == [(1, ValidationError)]


def test_an_oversized_request_fails_alone(caller: Caller) -> None:
    inputs = [Document(blob=bytes(100)), Document(blob=bytes(MAX_REQUEST_BYTES)), Document(blob=bytes(200))]
    with pytest.raises(TooLarge, match="max_request_bytes"):
        caller.post("/same", inputs, request_size=1)
    back = caller.post("/same", inputs, request_size=1, continue_on_error=True)
    assert [len(blob) for blob in back.blobs] == [100, 200]
    assert [(failure.start, type(failure.error)) for failure in back.failures] == [(1, TooLarge)]


def test_requests_just_under_the_limit_pass(caller: Caller) -> None:
    large = Document(blob=bytes(MAX_REQUEST_BYTES - 8192))
    assert len(caller.post("/same", [large] * 3, request_size=1)) == 3


def test_large_parameters_and_results(caller: Caller) -> None:
    text = "가" * 400_000
    told = caller.post("/told", "x", parameters={"text": text})
    assert told.parameters["__results__"]["station"]["parameters"]["text"] == text
    with pytest.raises(TooLarge):
        caller.post("/told", "x", parameters={"text": text * 2})
