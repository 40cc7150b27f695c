"""ONE suite for every way to call a Flow: {our own channel, gRPC} x {Client, AsyncClient}."""

import gc
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dure import AsyncClient, Client, Document, DocumentArray, Flow
from dure.client.results import Results
from dure.document import codec
from dure.errors import (
    ConnectionLost,
    EndpointNotFound,
    ExecutorError,
    SpecError,
    TooLarge,
    ValidationError,
)
from tests.contract.callers import KINDS, Caller, opened
from tests.contract.services import Refused, Station, lines
from tests.documents import KOREAN, MOJIBAKE, TROUBLE, content

MAX_REQUEST_BYTES = 2 * 2**20


@pytest.fixture(scope="module")
def flow() -> Iterator[Flow]:
    with Flow(max_request_bytes=MAX_REQUEST_BYTES).add(uses=Station, name="station", timeout_ready_s=20) as running:
        yield running


@pytest.fixture(scope="module", params=KINDS)
def caller(request: pytest.FixtureRequest, flow: Flow) -> Iterator[Caller]:
    with opened(request.param, flow.port) as made:
        yield made


def numbered(count: int) -> DocumentArray:
    return DocumentArray(Document(text=str(i)) for i in range(count))


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


def overtaking() -> Iterator[Document]:
    for i in range(12):
        yield Document(text=str(i), tags={"seconds": 0.15 if i % 4 == 0 else 0.0})


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


# -- failures ----------------------------------------------------------------------------------------------------------


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


# -- leaving early, threads, connections -------------------------------------------------------------------------------


def test_leaving_a_stream_withdraws_what_is_under_way(caller: Caller, tmp_path: Path) -> None:
    log = tmp_path / "log"
    parameters = {"path": str(log), "seconds": 0.03}
    stream = caller.stream("/log", numbered(60), request_size=1, parameters=parameters)
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # it is a generator
    assert caller.post("/same", "still here").texts == ["still here"]
    done = len(lines(log))
    time.sleep(0.15)
    assert len(lines(log)) == done
    assert done < 60


def test_leaving_a_stream_ends_the_generator_behind_it(caller: Caller, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    stream = caller.stream("/endless", "x", parameters={"path": str(closed)})
    for _ in range(3):
        assert next(stream).texts == ["more"]
    stream.close()  # type: ignore[attr-defined]  # it is a generator
    deadline = time.monotonic() + 5
    while not closed.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert closed.exists()


def test_parts_wait_for_who_reads_slowly(caller: Caller, tmp_path: Path) -> None:
    made = tmp_path / "made"
    parameters = {"path": str(made), "count": 300, "size": 2**20}
    stream = caller.stream("/wide", "x", parameters=parameters)
    next(stream)
    time.sleep(0.5)
    assert int(made.read_text()) < 150, "the parts pile up somewhere"
    assert 1 + sum(len(results) for results in stream) == 300


@pytest.mark.parametrize("protocol", ["native", "grpc"])
def test_one_client_in_many_threads(flow: Flow, protocol: Any) -> None:
    wrong: list[Any] = []

    def work(client: Client, name: int) -> None:
        for i in range(20):
            texts = [f"{name}-{i}-{j}" for j in range(7)]
            back = client.post("/same", texts, request_size=2).texts
            if back != texts:
                wrong.append((texts, back))

    with Client(port=flow.port, protocol=protocol) as client:
        threads = [threading.Thread(target=work, args=(client, name)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


@pytest.mark.parametrize("protocol", ["native", "grpc"])
async def test_one_async_client_in_many_tasks(flow: Flow, protocol: Any) -> None:
    import asyncio

    async with AsyncClient(port=flow.port, protocol=protocol) as client:
        posts = [client.post("/sleep", overtaking, request_size=1) for _ in range(8)]
        for back in await asyncio.gather(*posts):
            assert back.texts == [str(i) for i in range(12)]


@pytest.mark.parametrize("protocol", ["native", "grpc"])
async def test_async_inputs(flow: Flow, protocol: Any) -> None:
    async def make(count: int = 5) -> Any:
        for i in range(count):
            yield str(i)

    async def broken() -> Any:
        yield "0"
        raise KeyError("half-way")

    async with AsyncClient(port=flow.port, protocol=protocol) as client:
        assert (await client.post("/same", make, request_size=2)).texts == list("01234")
        assert (await client.post("/same", make(3))).texts == list("012")
        with pytest.raises(KeyError, match="half-way") as caught:
            await client.post("/same", broken)
        assert caught.value.results.texts == ["0"]  # type: ignore[attr-defined]  # documented in post


def test_a_client_that_blocks_refuses_async_inputs(flow: Flow) -> None:
    async def make() -> Any:
        yield "0"

    with Client(port=flow.port) as client, pytest.raises(ValidationError, match="AsyncClient"):
        client.post("/same", make)


@pytest.mark.parametrize("protocol", ["native", "grpc"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a connection of a loop that is gone cannot be closed
def test_an_async_client_on_one_loop_after_the_other(flow: Flow, protocol: Any) -> None:
    import asyncio

    client = AsyncClient(port=flow.port, protocol=protocol)

    async def once(text: str) -> list[str]:
        return (await client.post("/same", text)).texts

    assert asyncio.run(once("a")) == ["a"]
    assert asyncio.run(once("b")) == ["b"]
    gc.collect()


def test_cancelling_a_post_withdraws_it(flow: Flow) -> None:
    import asyncio

    async def late() -> None:
        async with AsyncClient(port=flow.port) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.post("/sleep", Document(tags={"seconds": 30})), 0.1)
            assert (await client.post("/same", "still here")).texts == ["still here"]

    asyncio.run(late())


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_there(kind: str) -> None:
    with opened(kind, port=1) as caller, pytest.raises(ConnectionLost, match=r"127\.0\.0\.1:1"):
        caller.post("/same", "x")


@pytest.mark.parametrize("kind", KINDS)
def test_few_in_flight(flow: Flow, kind: str) -> None:
    with opened(kind, flow.port, max_in_flight=1, max_in_flight_bytes=1) as caller:
        assert caller.post("/same", numbered(20), request_size=3).texts == [str(i) for i in range(20)]
