"""Where models work: few texts in one call, many divided on a CPU, in order, others in between."""

import asyncio
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import pytest
import torch

from dure.bib.predict_threads import PredictThreads
from dure.device.context import Context, cpu, gpu

if TYPE_CHECKING:
    from dure.learning.model import Model


class Echo:
    """A model that says every text again, and keeps what it was called with, and with how many threads."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []
        self.may = threading.Event()
        self.may.set()

    def predict(self, texts: Sequence[str]) -> list[str]:
        self.calls.append((len(texts), torch.get_num_threads()))
        assert self.may.wait(10)
        if "fail" in texts:
            raise RuntimeError("no")
        return list(texts)


async def told(echo: Echo, size: int, context: Context, num_cores: int) -> list[Any]:
    threads = PredictThreads(context, num_cores)
    try:
        return await threads.predict(cast("Model", echo), [str(n) for n in range(size)])
    finally:
        threads.close()


@pytest.mark.parametrize(
    ("context", "num_cores", "size", "calls"),
    [
        (cpu(), 2, 31, [(31, 2)]),
        (cpu(), 2, 32, [(16, 1)] * 2),
        (cpu(), 2, 2049, [(512, 1)] * 3 + [(513, 1)]),
        (cpu(), 8, 101, [(25, 2)] * 3 + [(26, 2)]),
        (cpu(), 1, 5000, [(5000, 1)]),
        (gpu(), 2, 5000, [(5000, 2)]),
    ],
)
async def test_many_texts_are_divided_on_a_cpu(
    context: Context, num_cores: int, size: int, calls: list[tuple[int, int]]
) -> None:
    echo = Echo()
    assert await told(echo, size, context, num_cores) == [str(n) for n in range(size)]
    assert sorted(echo.calls) == calls


async def test_few_texts_do_not_wait_for_many() -> None:
    slow, quick = Echo(), Echo()
    slow.may.clear()
    threads = PredictThreads(cpu(), 2)
    many = asyncio.create_task(threads.predict(cast("Model", slow), ["x"] * 5000))
    await asyncio.sleep(0.05)
    assert await asyncio.wait_for(threads.predict(cast("Model", quick), ["a"]), 5) == ["a"]
    slow.may.set()
    assert len(await many) == 5000
    threads.close()


async def test_the_parts_of_two_models_take_turns() -> None:
    order: list[str] = []

    class Named(Echo):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def predict(self, texts: Sequence[str]) -> list[str]:
            order.append(self.name)
            return super().predict(texts)

    first, second = Named("first"), Named("second")
    first.may.clear()
    threads = PredictThreads(cpu(), 2)
    asked = [asyncio.create_task(threads.predict(cast("Model", one), ["x"] * 10_000)) for one in (first, second)]
    await asyncio.sleep(0.05)
    first.may.set()
    await asyncio.gather(*asked)
    threads.close()
    assert len(order) == 20
    assert order.index("second") < 5, "it does not wait for all ten parts of the first"


async def test_what_fails_is_told_and_the_rest_is_left() -> None:
    echo = Echo()
    threads = PredictThreads(cpu(), 2)
    with pytest.raises(RuntimeError, match="no"):
        await threads.predict(cast("Model", echo), ["fail", *["x"] * 50_000])
    assert await threads.predict(cast("Model", echo), ["a"]) == ["a"]
    threads.close()
    assert len(echo.calls) < 20
