"""An Executor by itself."""

from typing import Any

import pytest

from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.errors import SpecError
from dure.executor.base import Executor
from dure.executor.endpoints import requests


class Encoder(Executor):
    def __init__(self, device: str = "cpu", *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.device = device
        self.closed = 0

    @requests
    def encode(self, docs: DocumentArray, **kwargs: Any) -> None:
        docs.texts = [self.device] * len(docs)

    def close(self) -> None:
        self.closed += 1


class Larger(Encoder):
    def __init__(self, size: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size


class Careless(Executor):
    """Never calls its base."""

    def __init__(self) -> None:
        self.value = 1

    @requests(on="/x")
    def x(self, docs: DocumentArray) -> None: ...


def test_it_is_used_without_a_flow() -> None:
    docs = DocumentArray([Document(), Document()])
    with Encoder("cuda") as encoder:
        encoder.encode(docs)
    assert docs.texts == ["cuda"] * 2
    assert encoder.closed == 1


def test_an_argument_nobody_takes_is_told() -> None:
    with pytest.raises(SpecError, match=r"Larger takes no argument 'devise'\. Did you mean 'device'.*size, device"):
        Larger(devise="cpu")


def test_what_a_host_tells_it() -> None:
    encoder = Encoder(metas={"name": "x"}, requests={"/y": "encode"}, runtime_args={"name": "encoder", "replica": 1})
    assert (encoder.metas.name, encoder.runtime_args.replica) == ("x", 1)
    assert list(encoder.requests) == ["/y"]
    assert encoder.logger.name.endswith("encoder")
    assert Encoder().logger.name.endswith("Encoder")
    assert not vars(Encoder.metas), "what one is told is not the others'"


def test_a_class_that_never_calls_its_base_still_answers() -> None:
    assert list(Careless().requests) == ["/x"]
    assert Careless().metas is Executor.metas
