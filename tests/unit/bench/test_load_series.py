import asyncio
from collections.abc import Coroutine
from itertools import repeat
from typing import Any

import pytest

from dure.bench.load import Refusal, Sender
from dure.bench.load_point import Asked
from dure.bench.load_series import Series
from dure.bench.workload import Workload
from dure.errors import RequestError
from tests.unit.bench.virtual_time import OneServer, in_virtual_time


class Batches(OneServer):
    """Serves all that has come within 10 ms as one, up to eight."""

    def __init__(self) -> None:
        super().__init__(repeat(0.0))
        self._places = asyncio.Semaphore(8)

    async def send(self, number: int) -> Refusal | None:
        async with self._places:
            await asyncio.sleep(0.01)
        return None


class Fails(OneServer):
    async def send(self, number: int) -> Refusal | None:
        return Refusal("http_500", "no")


async def capacity(sender: Sender, workload: Workload) -> tuple[float, list[float]]:
    series = Series(workload, sender, lambda _: None)
    found = await series.capacity()
    return found, [point.asked.amount for point in series.points]


def run(work: Coroutine[Any, Any, tuple[float, list[float]]]) -> tuple[float, list[float]]:
    return in_virtual_time(work)


def test_capacity_is_found_with_as_few_clients_as_it_takes() -> None:
    workload = Workload("localhost:1", duration_s=0.3)
    one, clients = run(capacity(OneServer(repeat(0.01)), workload))
    assert one == pytest.approx(100.0, rel=0.07)
    assert clients == [1, 2, 4]
    eight, clients = run(capacity(Batches(), workload))
    assert eight == pytest.approx(800.0, rel=0.07)
    assert clients == [1, 2, 4, 8, 16, 32]


def test_there_are_never_more_clients_than_connections() -> None:
    assert run(capacity(Batches(), Workload("localhost:1", max_connections=4)))[1] == [1, 2, 4]


def test_a_service_that_answers_nothing_has_no_capacity() -> None:
    with pytest.raises(RequestError, match="http_500"):
        run(capacity(Fails(repeat(0.0)), Workload("localhost:1", duration_s=0.2)))


def test_same_seed_same_moments() -> None:
    async def moments(seed: int) -> list[float]:
        series = Series(Workload("localhost:1", seed=seed), OneServer(repeat(0.001)), lambda _: None)
        await series.add(Asked("open", 50.0, 1.0), 0.2)
        return series.points[0].samples.intended_s

    first, same, other = (in_virtual_time(moments(seed)) for seed in (1, 1, 2))
    assert first == same != other
    assert min(first) < 0.0
