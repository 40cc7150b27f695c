"""What a method is called with."""

from typing import Any

import msgspec
import pytest

from dure.document.array import DocumentArray
from dure.executor.base import Executor
from dure.executor.endpoints import requests
from dure.transport.messages import BatchCall
from dure.worker.arguments import arguments_of
from dure.worker.batch import Batch


class Several(Executor):
    @requests(on="/docs")
    def docs(self, docs: Any) -> None: ...

    @requests(on="/both")
    def both(self, docs: Any, parameters: Any) -> None: ...

    @requests(on="/matrix")
    def matrix(self, docs: Any, docs_matrix: Any) -> None: ...

    @requests(on="/any")
    def any(self, docs: Any, **kwargs: Any) -> None: ...


def called(endpoint: str, branches: int = 1, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    packed = b"" if parameters is None else msgspec.msgpack.encode(parameters)
    arrays = [DocumentArray() for _ in range(branches)]
    batch = Batch(BatchCall(endpoint, packed, stream=False, items=[]), DocumentArray(), arrays, [0], [])
    return arguments_of(Several().requests[endpoint], batch)


def test_a_method_is_given_what_it_names() -> None:
    assert set(called("/docs")) == {"docs"}
    assert set(called("/both")) == {"docs", "parameters"}
    assert set(called("/matrix")) == {"docs", "docs_matrix"}
    assert set(called("/any")) == {"docs", "parameters"}


@pytest.mark.parametrize("parameters", [{}, {"k": 3, "of": [1.5, "글"]}])
def test_parameters_keep_their_types(parameters: dict[str, Any]) -> None:
    assert called("/both", parameters=parameters)["parameters"] == parameters
    assert called("/both")["parameters"] == {}


def test_branches_are_told_where_there_are_several() -> None:
    assert called("/matrix")["docs_matrix"] is None
    assert len(called("/matrix", branches=2)["docs_matrix"]) == 2
