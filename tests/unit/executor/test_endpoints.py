"""Which method answers which endpoint: decorators, inheritance, binding anew."""

from typing import Any

import pytest

from dure.errors import SpecError
from dure.executor.base import Executor
from dure.executor.endpoints import DEFAULT, UNMERGED, batching, requests, table
from dure.spec import BatchSpec


class Base(Executor):
    @requests(on="/base")
    def base(self, docs: Any, **kwargs: Any) -> None: ...

    @requests(on=["/one", "/two"])
    def several(self, docs: Any, parameters: Any) -> None: ...


class Left(Base):
    @requests
    def default(self, docs: Any) -> None: ...

    @requests(on="/left")
    async def left(self, docs: Any, **kwargs: Any) -> None: ...


class Right(Base):
    def base(self, docs: Any, **kwargs: Any) -> None:  # bound by its base's decorator
        ...

    @requests(on="/right")
    @batching(max_batch_size=8)
    def right(self, docs: Any, docs_matrix: Any = None) -> None: ...

    @requests(on="/parts")
    @batching(max_batch_size=8)
    def parts(self, docs: Any) -> Any:
        yield from docs


def methods(kind: type, **rebind: str) -> dict[str, str]:
    return {name: endpoint.method for name, endpoint in table(kind, rebind).items()}


def test_siblings_share_nothing() -> None:
    shared = {"/base": "base", "/one": "several", "/two": "several"}
    assert methods(Base) == shared
    assert methods(Left) == {**shared, DEFAULT: "default", "/left": "left"}
    assert methods(Right) == {**shared, "/right": "right", "/parts": "parts"}
    assert Left().requests is not Left().requests
    assert methods(Base) == shared, "after its subclasses were made"


def test_a_subclass_goes_over_its_base() -> None:
    class Over(Base):
        @requests(on="/base")
        def other(self, docs: Any) -> None: ...

    assert methods(Over)["/base"] == "other"
    assert methods(Base)["/base"] == "base"


def test_two_bases() -> None:
    class Both(Left, Right): ...

    assert methods(Both) == {**methods(Left), **methods(Right)}


def test_how_a_method_wants_to_be_called() -> None:
    left, right = table(Left, {}), table(Right, {})
    assert left["/left"].asynchronous
    assert not left["/left"].streaming
    assert right["/parts"].streaming
    assert right["/parts"].batching == UNMERGED, "a generator is never merged"
    assert right["/right"].batching == BatchSpec(max_batch_size=8)
    assert {"docs", "parameters"} <= set(left["/left"].arguments), "**kwargs takes whatever there is"
    assert set(left[DEFAULT].arguments) == {"self", "docs"}
    assert "docs_matrix" in right["/right"].arguments


def test_binding_anew_moves_a_method() -> None:
    assert methods(Base, **{"/new": "several"}) == {"/base": "base", "/new": "several"}
    assert methods(Base, **{"/base": "several", "/x": "several"}) == {"/base": "several", "/x": "several"}


@pytest.mark.parametrize(
    ("method", "message"),
    [("sevral", r"no method 'sevral'\. Did you mean 'several'"), ("metas", "no method 'metas'")],
)
def test_binding_to_what_is_no_method(method: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        table(Base, {"/x": method})


@pytest.mark.parametrize("on", ["encode", "", ["/a", "b"], 3, [None]])
def test_an_endpoint_begins_with_a_slash(on: Any) -> None:
    with pytest.raises(SpecError, match="an endpoint is a text that begins with"):
        requests(on=on)(lambda self, docs: None)


def test_a_method_takes_documents() -> None:
    with pytest.raises(SpecError, match=r"method is bound to /x but takes no `docs`"):

        @requests(on="/x")
        def method(self: Any, parameters: Any) -> None: ...


def test_two_methods_of_one_class_for_one_endpoint() -> None:
    class Two(Executor):
        @requests(on="/x")
        def first(self, docs: Any) -> None: ...

        @requests(on=["/y", "/x"])
        def second(self, docs: Any) -> None: ...

    with pytest.raises(SpecError, match="Two: both 'first' and 'second' answer /x"):
        Two()


@pytest.mark.parametrize("size", [0, -1, 1.5, "8"])
def test_a_batch_size_is_a_positive_number(size: Any) -> None:
    with pytest.raises(SpecError, match=r"batching\.max_batch_size"):
        batching(max_batch_size=size)
