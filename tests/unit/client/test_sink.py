"""What becomes of answers: collected, called back, raised."""

from typing import Any

import pytest

from dure.client.exchange import Delivery
from dure.client.results import Failure, Results
from dure.client.sink import Sink, keep, options_of
from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.errors import DureError, SpecError


def answer(text: str, results: dict[str, Any] | None = None) -> Delivery:
    parameters = {"__results__": results} if results else None
    return Delivery(Results.of(DocumentArray([Document(text=text)]), parameters), None, final=True)


def failed(error: DureError) -> Delivery:
    return Delivery(Results.of(DocumentArray()), Failure(0, DocumentArray(), error), final=True)


def test_answers_are_one_result() -> None:
    sink = Sink(options_of({}))
    for one in (answer("a", {"x": 1, "y": 1}), answer("b", {"x": 2})):
        results = sink.take(one)
        assert results is not None
        sink.collected.append(results)
    whole = sink.result()
    assert whole.texts == ["a", "b"]
    assert whole.parameters == {"__results__": {"x": 2, "y": 1}}
    assert whole.failures == []
    assert whole.error is None


def test_a_failure_is_raised_unless_somebody_hears_of_it() -> None:
    error = DureError("x")
    with pytest.raises(DureError) as caught:
        Sink(options_of({})).take(failed(error))
    assert caught.value is error
    heard: list[Results] = []
    assert Sink(options_of({"on_error": heard.append})).take(failed(error)) is None
    assert heard[0].error is error
    sink = Sink(options_of({"continue_on_error": True}))
    results = sink.take(failed(error))
    assert results is not None
    assert results.failures == sink.result().failures != []


def test_a_stream_keeps_nothing() -> None:
    sink = Sink(options_of({"continue_on_error": True}), keeps=False)
    sink.take(failed(DureError("x")))
    assert sink.result().failures == []


def test_what_had_come_back_is_kept_in_the_error() -> None:
    sink = Sink(options_of({}))
    results = answer("a").results
    assert results is not None
    sink.collected.append(results)
    for error in (DureError("x"), KeyError("x")):
        keep(error, sink, options_of({}))
        assert error.results.texts == ["a"]  # type: ignore[union-attr]  # documented in post
    assert "1 documents had come back before" in error.__notes__[0]


def test_unknown_options_are_told() -> None:
    with pytest.raises(SpecError, match=r"post\.on_eror: unknown argument\. Did you mean 'on_error'"):
        options_of({"on_eror": print})  # type: ignore[typeddict-unknown-key]  # that is the point
