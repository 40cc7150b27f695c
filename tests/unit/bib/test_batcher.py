"""Requests that arrive together: one call of the model, each gets its own, and one that fails is told to all in it."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dure.bib.batcher import MAX_BATCH, Batcher
from dure.bib.residence import Residence
from dure.device.context import Context
from dure.errors import ValidationError
from dure.store.store import ModelStore


class Echo:
    """A model that says every text again, and may be held up."""

    task = "tc"
    labels = ("a",)

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.may = threading.Event()
        self.may.set()

    def predict(self, texts: list[str]) -> list[str]:
        self.calls.append(len(texts))
        assert self.may.wait(5)
        if "fail" in texts:
            raise RuntimeError("no")
        return list(texts)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def batcher(tmp_path: Path, echo: Echo) -> AsyncIterator[Batcher]:
    store = ModelStore(tmp_path)
    store.publish("m", lambda folder: None, {"task": "tc"})

    def load(_folder: Path, _context: Context) -> Any:
        return echo

    batcher = Batcher(Residence(store, load=load))
    yield batcher
    batcher.close()


async def test_what_comes_while_the_model_works_is_the_next_batch(batcher: Batcher, echo: Echo) -> None:
    await batcher.predict("m", ["warm"], "tc")
    echo.may.clear()
    first = asyncio.create_task(batcher.predict("m", ["first"], "tc"))
    await asyncio.sleep(0.02)
    asked = [asyncio.create_task(batcher.predict("m", [f"{n}a", f"{n}b"], "tc")) for n in range(10)]
    await asyncio.sleep(0.02)
    echo.may.set()
    answers = await asyncio.gather(*asked)
    assert [answer.predictions for answer in answers] == [[f"{n}a", f"{n}b"] for n in range(10)]
    assert (await first).predictions == ["first"]
    assert echo.calls == [1, 1, 20]
    assert all(answer.predict_time_s > 0 for answer in answers)


async def test_a_batch_has_a_bound(batcher: Batcher, echo: Echo) -> None:
    await batcher.predict("m", ["warm"], "tc")
    sizes = [1, MAX_BATCH - 1, 2, 5 * MAX_BATCH]
    asked = [asyncio.create_task(batcher.predict("m", ["x"] * size, "tc")) for size in sizes]
    answers = await asyncio.gather(*asked)
    assert [len(answer.predictions) for answer in answers] == sizes
    # Those of one batch are divided among threads, and so are told in any order.
    assert sum(echo.calls) == 1 + sum(sizes)
    assert max(echo.calls) <= MAX_BATCH


async def test_nothing_is_asked_for_no_texts(batcher: Batcher, echo: Echo) -> None:
    answer = await batcher.predict("m", [], "tc")
    assert (answer.predictions, echo.calls) == ([], [])


async def test_who_goes_away_disturbs_nobody(batcher: Batcher, echo: Echo) -> None:
    await batcher.predict("m", ["warm"], "tc")
    echo.may.clear()
    first, second = (asyncio.create_task(batcher.predict("m", [text], "tc")) for text in "ab")
    await asyncio.sleep(0.02)
    first.cancel()
    await asyncio.sleep(0)
    echo.may.set()
    assert (await second).predictions == ["b"]
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_failures_and_other_tasks(batcher: Batcher) -> None:
    with pytest.raises(RuntimeError, match="no"):
        await batcher.predict("m", ["fail"], "tc")
    with pytest.raises(ValidationError, match="m@1 is for text classification, not for named entities"):
        await batcher.predict("m", ["x"], "ner")
    assert (await batcher.predict("m", ["x"], "tc")).predictions == ["x"]
