"""Executors as one: who answers what, what is handed on, whose fault it is."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from dure import Document, DocumentArray, Executor, batching, requests
from dure.errors import SpecError, ValidationError
from dure.executor.chain import MEMBER, Chain
from dure.executor.endpoints import DEFAULT
from dure.executor.stages import stages_into


class Step(Executor):
    """Notes what it was given, and that it was closed or warmed up."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seen: list[Any] = []
        self.told: dict[str, Any] = {}
        self.events: list[str] = []

    @requests(on="/pass")
    def hand_on(self, docs: DocumentArray, parameters: dict[str, Any], docs_matrix: Any) -> None:
        self.seen.append(docs)
        self.told = {"parameters": parameters, "docs_matrix": docs_matrix}
        docs[0].text += self.mark

    @requests(on="/fail")
    def fail(self, docs: DocumentArray, **kwargs: Any) -> None:
        self.seen.append(docs)
        if docs[0].text == self.mark:
            raise ValueError(f"no {self.mark}")

    @property
    def mark(self) -> str:
        return type(self).__name__

    def warm_up(self) -> None:
        self.events.append("warm")

    def close(self) -> None:
        self.events.append("closed")


class First(Step):
    @requests(on="/other")
    def other(self, docs: DocumentArray, **kwargs: Any) -> DocumentArray:
        return DocumentArray([*docs, Document(text="one more")])

    @requests(on="/wrong")
    def wrong(self, docs: DocumentArray, **kwargs: Any) -> Any:
        return {"a": "dict"}


class Second(Step):
    @requests(on="/other")
    def count(self, docs: DocumentArray) -> Document:
        self.seen.append(docs)
        return Document(text=str(len(docs)))

    @requests
    def whatever(self, docs: DocumentArray, **kwargs: Any) -> None:
        self.seen.append("whatever")


class Waits(Step):
    @requests(on="/pass")
    async def hand_on(self, docs: DocumentArray, **kwargs: Any) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        self.seen.append(docs)
        docs[0].text += self.mark

    @requests(on="/fail")
    async def fail(self, docs: DocumentArray, **kwargs: Any) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        raise ValueError("no Waits")


def call(chain: Chain, endpoint: str, docs: DocumentArray) -> Any:
    row = chain.requests[endpoint]
    assert set(row.arguments) == {"docs", "parameters", "docs_matrix"}
    returned = getattr(chain, row.method)(docs=docs, parameters={"p": 1}, docs_matrix="branches")
    return asyncio.run(returned) if row.asynchronous else returned


def test_the_very_same_documents_are_handed_on() -> None:
    first, second = First(), Second()
    docs = DocumentArray(Document(text="-"))
    assert call(Chain({"a": first, "b": second}), "/pass", docs) is docs
    assert first.seen[0] is second.seen[0] is docs
    assert docs[0].text == "-FirstSecond"


def test_parameters_are_for_all_and_branches_for_the_first() -> None:
    first, second = First(), Second()
    call(Chain({"a": first, "b": second}), "/pass", DocumentArray(Document()))
    assert first.told == {"parameters": {"p": 1}, "docs_matrix": "branches"}
    assert second.told == {"parameters": {"p": 1}, "docs_matrix": None}


def test_what_one_returns_the_next_one_gets() -> None:
    back = call(Chain({"a": First(), "b": Second()}), "/other", DocumentArray(Document()))
    assert back.texts == ["2"]


def test_a_member_without_a_method_is_passed_by_unless_it_answers_whatever_comes() -> None:
    first, second = First(), Second()
    chain = Chain({"a": first, "b": second})
    assert set(chain.requests) == {"/pass", "/fail", "/other", "/wrong", DEFAULT}
    docs = DocumentArray(Document())
    assert call(chain, DEFAULT, docs) is docs
    assert (first.seen, second.seen) == ([], ["whatever"])


def test_coroutines_and_functions_may_be_mixed() -> None:
    first, waits = First(), Waits()
    chain = Chain({"a": first, "b": waits})
    assert chain.requests["/pass"].asynchronous
    assert not chain.requests["/other"].asynchronous
    docs = DocumentArray(Document())
    assert call(chain, "/pass", docs) is docs
    assert docs[0].text == "FirstWaits"


@pytest.mark.parametrize("last", [Second, Waits])
def test_an_error_says_whose_it_is(last: type[Step]) -> None:
    with pytest.raises(ValueError, match=f"no {last.__name__}") as raised:
        call(Chain({"a": First(), "b": last()}), "/fail", DocumentArray(Document(text=last.__name__)))
    assert getattr(raised.value, MEMBER) == "b"


def test_after_an_error_nobody_is_called() -> None:
    second = Second()
    with pytest.raises(ValueError, match="no First") as raised:
        call(Chain({"a": First(), "b": second}), "/fail", DocumentArray(Document(text="First")))
    assert getattr(raised.value, MEMBER) == "a"
    assert second.seen == []


def test_nothing_but_documents_is_handed_on() -> None:
    with pytest.raises(ValidationError, match="a returned a dict; in a group") as raised:
        call(Chain({"a": First(), "b": Second()}), "/wrong", DocumentArray(Document()))
    assert getattr(raised.value, MEMBER) == "a"


def test_a_chain_of_chains_blames_the_innermost() -> None:
    inner = Chain({"x": First()})
    with pytest.raises(ValueError, match="no First") as raised:
        call(Chain({"outer": inner}), "/fail", DocumentArray(Document(text="First")))
    assert getattr(raised.value, MEMBER) == "x"


def test_each_member_is_a_stage() -> None:
    stages: dict[str, float] = {}
    with stages_into(stages):
        call(Chain({"a": First(), "b": Second()}), "/pass", DocumentArray(Document()))
    assert list(stages) == ["a", "b"]


def test_members_are_warmed_up_in_order_and_closed_the_last_first() -> None:
    events: list[str] = []
    first, second = First(), Second()
    first.events = second.events = events
    first.warm_up = lambda: events.append("first")  # type: ignore[method-assign]
    second.close = lambda: events.append("last")  # type: ignore[method-assign]
    chain = Chain({"a": first, "b": second})
    chain.warm_up()
    chain.close()
    assert events == ["first", "warm", "last", "closed"]


def test_batches_are_as_the_one_that_takes_least_wants_them() -> None:
    class Small(Executor):
        @requests(on="/a")
        @batching(max_batch_size=4)
        def a(self, docs: DocumentArray) -> None:
            """Take four."""

    class Large(Executor):
        @requests(on="/a")
        def a(self, docs: DocumentArray) -> None:
            """Take what comes."""

    row = Chain({"any": Large(), "small": Small()}).requests["/a"]
    assert (row.batching.max_batch_size, row.asked) == (4, True)
    assert not Chain({"x": Large(), "y": Large()}).requests["/a"].asked


class Parts(Executor):
    @requests(on="/parts")
    def parts(self, docs: DocumentArray) -> Iterator[Document]:
        yield from docs


class AsyncParts(Executor):
    @requests(on="/parts")
    async def parts(self, docs: DocumentArray) -> AsyncIterator[Document]:
        yield docs[0]


@pytest.mark.parametrize("kind", [Parts, AsyncParts])
def test_generators_are_refused(kind: type[Executor]) -> None:
    with pytest.raises(SpecError, match=r"b\.group: 'parts' is a generator; give 'b' a process of its own"):
        Chain({"a": First(), "b": kind()})
