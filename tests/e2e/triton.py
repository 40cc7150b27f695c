"""An Executor that is called by Triton's clients, and what they are called with.

The clients are imported where they are used, since every worker of a test imports this file.
"""

import contextlib
import http.client
import importlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from dure import Document, DocumentArray, Executor, Flow, requests

KOREAN = "여럿이 함께"


class Encoder(Executor):
    @requests(on="/encode")
    def encode(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        factor = parameters.get("factor", 1)
        docs.embeddings = np.array([[len(text) * factor, 0.1] for text in docs.texts], np.float32).reshape(-1, 2)

    @requests(on="/same/as/before")
    def same(self, docs: DocumentArray, **kwargs: Any) -> None: ...

    @requests(on="/double")
    def double(self, docs: DocumentArray, **kwargs: Any) -> None:
        docs.tensors = docs.tensors * 2

    @requests(on="/nan")
    def nan(self, docs: DocumentArray, **kwargs: Any) -> None:
        docs.embeddings = np.full((len(docs), 2), np.nan, np.float32)

    @requests(on="/count")
    def count(self, docs: DocumentArray, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"count": len(docs), "parameters": parameters}

    @requests(on="/slow")
    def slow(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        time.sleep(parameters.get("seconds", 0.5))

    @requests(on="/fail")
    def fail(self, docs: DocumentArray, **kwargs: Any) -> None:
        raise ZeroDivisionError("오류")

    @requests(on="/words")
    def words(self, docs: DocumentArray, parameters: dict[str, Any]) -> Iterator[Document]:
        for i, word in enumerate(docs[0].text.split()):
            if i == parameters.get("fail_at"):
                raise ValueError("no more words")
            yield Document(word)


def open_flow() -> Flow:
    return Flow(protocol=["http", "grpc"], max_request_bytes=2**20).add(uses=Encoder, timeout_ready_s=20)


def url(flow: Flow, protocol: str) -> str:
    return f"127.0.0.1:{flow.ports[protocol]}"


def connect(flow: Flow, protocol: str, *, aio: bool = False) -> Any:
    """Return a client, which is to be closed."""
    module = importlib.import_module(f"tritonclient.{protocol}{'.aio' if aio else ''}")
    return module.InferenceServerClient(url(flow, protocol))


def speaks_http(client: Any) -> bool:
    return "tritonclient.http" in type(client).__module__


def library(client: Any) -> Any:
    return importlib.import_module("tritonclient.http" if speaks_http(client) else "tritonclient.grpc")


def tensor(client: Any, array: np.ndarray, name: str = "tensor", **settings: Any) -> Any:
    from tritonclient.utils import np_to_triton_dtype

    given = library(client).InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    return given.set_data_from_numpy(array, **settings)


def texts(client: Any, *values: str, name: str = "text", **settings: Any) -> Any:
    return tensor(client, np.array(values, dtype=np.object_), name, **settings)


def output(client: Any, name: str, **settings: Any) -> Any:
    return library(client).InferRequestedOutput(name, **settings)


def ask(
    flow: Flow, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Ask without a client's library: status, headers, body."""
    with contextlib.closing(http.client.HTTPConnection(url(flow, "http"), timeout=20)) as connection:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def status_of(call: Callable[[], Any]) -> tuple[str, str]:
    """Return the status and the message of the error that a call raises."""
    from tritonclient.utils import InferenceServerException

    with pytest.raises(InferenceServerException) as caught:
        call()
    return caught.value.status().removeprefix("StatusCode."), caught.value.message()


def told(client: Any, name: str, *arguments: Any) -> Any:
    return getattr(client, name)(*arguments, **({} if speaks_http(client) else {"as_json": True}))
