"""OpenAI's own client against an Executor that knows nothing of it."""

import base64
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest

from dure import DocumentArray, Executor, Flow, batching, requests


class Lengths(Executor):
    @requests(on="/lengths")
    def lengths(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Embed by length."""
        docs.embeddings = np.array([[len(text), 0.1] for text in docs.texts], np.float32)

    @requests(on="/cut")
    def cut(self, docs: DocumentArray, parameters: dict[str, int]) -> None:
        """Make none."""

    @requests(on="/slow")
    @batching(max_batch_size=1)
    def slow(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Take its time."""
        time.sleep(0.3)
        docs.embeddings = np.ones((len(docs), 2), np.float32)


@pytest.fixture(scope="module")
def flow() -> Iterator[Flow]:
    with Flow(protocol="http").add(uses=Lengths, name="lengths", max_queue_size=1, timeout_ready_s=20) as running:
        yield running


@pytest.fixture
def client(flow: Flow) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{flow.port}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_embeddings(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="lengths", input=["a", "둘둘"])
    assert [one.embedding for one in answer.data] == [pytest.approx([1, 0.1]), pytest.approx([2, 0.1])]
    assert [one.index for one in answer.data] == [0, 1]
    assert answer.model == "lengths"
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0


def test_a_text_alone_and_both_encodings(client: openai.OpenAI) -> None:
    numbers = client.embeddings.create(model="lengths", input="abc", encoding_format="float").data[0].embedding
    packed: Any = client.embeddings.create(model="lengths", input="abc", encoding_format="base64").data[0].embedding
    assert numbers == pytest.approx([3, 0.1])
    assert np.frombuffer(base64.b64decode(packed), "<f4") == pytest.approx(numbers)


def test_models(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"lengths", "cut", "slow"}
    assert client.models.retrieve("lengths").owned_by == "dure"
    with pytest.raises(openai.NotFoundError, match="Did you mean 'lengths'"):
        client.models.retrieve("length")


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        ({"model": "nope", "input": "a"}, openai.NotFoundError, "there is no model 'nope'"),
        ({"model": "lengths", "input": [1, 2]}, openai.UnprocessableEntityError, "token numbers are not read here"),
        ({"model": "lengths", "input": []}, openai.UnprocessableEntityError, "input is empty"),
        ({"model": "lengths", "input": "a", "dimensions": 1}, openai.UnprocessableEntityError, "dimensions"),
        ({"model": "cut", "input": "a"}, openai.InternalServerError, "without an embedding"),
    ],
)
def test_errors_have_the_shape_that_it_reads(client: openai.OpenAI, asked: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words) as raised:
        client.embeddings.create(**asked)
    assert raised.value.body["type"] in ("invalid_request_error", "server_error")


def test_it_comes_again_when_it_is_told_to(flow: Flow) -> None:
    import concurrent.futures

    def embed(number: int) -> int:
        with openai.OpenAI(base_url=f"http://127.0.0.1:{flow.port}/v1", api_key="none", max_retries=10) as patient:
            return len(patient.embeddings.create(model="slow", input=f"{number}").data)

    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        assert list(threads.map(embed, range(6))) == [1] * 6
