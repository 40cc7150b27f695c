"""One `post` without IO: whatever comes back in whatever order, what is delivered is right."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.client.exchange import Exchange, Incoming, encode_parameters
from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.errors import DureError, TooLarge, ValidationError
from dure.spec import ClientSpec


def array(*texts: str) -> DocumentArray:
    return DocumentArray(Document(text=text) for text in texts)


def part(number: int, text: str, *, final: bool = True) -> Incoming:
    return Incoming(number, array(text), final=final)


@st.composite
def interleavings(draw: st.DrawFn) -> tuple[int, list[Incoming]]:
    """Draw what a channel may receive: of each request some parts, then its end; requests interleaved in any way."""
    streams: list[list[Incoming]] = []
    for number in range(draw(st.integers(0, 6))):
        parts = [part(number, f"{number}.{i}", final=False) for i in range(draw(st.integers(0, 3)))]
        ends_well = draw(st.booleans())
        end = part(number, f"{number}.end") if ends_well else Incoming(number, error=DureError(f"{number}.error"))
        streams.append([*parts, end])
    order = draw(st.permutations([number for number, stream in enumerate(streams) for _ in stream]))
    queues = [list(stream) for stream in streams]
    return len(streams), [queues[number].pop(0) for number in order]


def said(incoming: Incoming) -> list[str]:
    if incoming.error is not None:
        return [str(incoming.error)]
    return [] if incoming.documents is None else incoming.documents.texts


def texts(exchange: Exchange) -> list[str]:
    found: list[str] = []
    for delivery in exchange.ready():
        found += [] if delivery.results is None else delivery.results.texts
        if delivery.failure is not None:
            found.append(str(delivery.failure.error))
    return found


@settings(deadline=None)
@given(interleavings(), st.booleans(), st.data())
def test_any_interleaving_is_delivered_once_and_in_order(
    drawn: tuple[int, list[Incoming]], in_order: bool, data: st.DataObject
) -> None:
    count, arriving = drawn
    exchange = Exchange(ClientSpec(), in_order=in_order)
    for number in range(count):
        assert exchange.next_number() == number
        exchange.sent(array("a", "b"), nbytes=10)
    delivered: list[str] = []
    finals = 0
    for incoming in arriving:
        exchange.accept(incoming)
        finals += incoming.final
        assert exchange.in_flight == count - finals
        if data.draw(st.booleans()):
            delivered += texts(exchange)
    delivered += texts(exchange)
    came = [name for one in arriving for name in said(one)]
    if in_order:
        assert delivered == sorted(came, key=lambda name: name.partition(".")[0])
    else:
        assert delivered == came
    assert exchange.in_flight == 0
    assert exchange.may_send


def test_a_part_of_the_first_request_does_not_wait() -> None:
    exchange = Exchange(ClientSpec(), in_order=True)
    exchange.sent(array("a"), 1)
    exchange.sent(array("b"), 1)
    exchange.accept(part(1, "1.0", final=False))
    assert texts(exchange) == []
    exchange.accept(part(0, "0.0", final=False))
    assert texts(exchange) == ["0.0"]
    exchange.accept(part(0, "0.1"))
    assert texts(exchange) == ["0.1", "1.0"]
    exchange.accept(part(1, "1.1", final=False))
    assert texts(exchange) == ["1.1"]


def test_failures_know_where_their_documents_stood() -> None:
    exchange = Exchange(ClientSpec(), in_order=True)
    for count in (2, 3, 1):
        exchange.sent(array(*"abc"[:count]), 1)
    error = DureError("x")
    exchange.accept(Incoming(2, error=error))
    exchange.accept(Incoming(1, error=error))
    exchange.accept(part(0, "done"))
    found = [delivery.failure for delivery in exchange.ready() if delivery.failure is not None]
    assert [(failure.start, failure.documents.texts) for failure in found] == [(2, ["a", "b", "c"]), (5, ["a"])]


def test_a_request_that_was_not_sent_fails_in_its_place() -> None:
    exchange = Exchange(ClientSpec(), in_order=True)
    exchange.sent(array("a", "b"), 10)
    exchange.refuse(array("c"), TooLarge("too large"))
    exchange.sent(array("d"), 10)
    assert exchange.in_flight == 2
    exchange.accept(part(2, "d"))
    exchange.accept(part(0, "ab"))
    assert texts(exchange) == ["ab", "too large", "d"]


def test_limits() -> None:
    exchange = Exchange(ClientSpec(max_in_flight=3, max_in_flight_bytes=100), in_order=True)
    seen = []
    exchange.sent(array("a"), 1000)
    seen.append(("more bytes than allowed, but one always goes", exchange.may_send))
    exchange.accept(part(0, "a"))
    for count in range(3):
        seen.append((f"{count} are under way", exchange.may_send))
        exchange.sent(array("a"), 1)
    seen.append(("as many requests as allowed", exchange.may_send))
    exchange.accept(part(2, "x"))
    seen.append(("an answer that is held back counts", exchange.may_send))
    exchange.accept(part(1, "x"))
    seen.append(("both are delivered", exchange.may_send))
    assert [may for _, may in seen] == [False, True, True, True, False, False, True], seen


def test_an_answer_nobody_waits_for_is_dropped() -> None:
    exchange = Exchange(ClientSpec(), in_order=True)
    exchange.accept(part(0, "x"))
    exchange.sent(array("a"), 1)
    exchange.accept(part(0, "x"))
    exchange.accept(part(0, "again"))
    assert texts(exchange) == ["x"]


@pytest.mark.parametrize("parameters", [None, {}])
def test_no_parameters_are_no_bytes(parameters: Any) -> None:
    assert encode_parameters(parameters) == b""


@pytest.mark.parametrize(
    "parameters", [[], "x", {"x": object()}, {"x": {1: 2}}, {"x": 2**64}, {"x": "\ud800"}], ids=ascii
)
def test_parameters_that_cannot_travel(parameters: Any) -> None:
    with pytest.raises(ValidationError, match="parameters"):
        encode_parameters(parameters)
