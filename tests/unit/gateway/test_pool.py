"""Which replica is found, held against looking at every one of them."""

from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.gateway.pace import Pace
from dure.gateway.pool import Pool

JOB: Any = object()


class Stand:
    """A replica as a pool sees it: `early` until a moment, unless it has nothing to do."""

    def __init__(self, slots: int = 2, *, mixed: bool = False) -> None:
        self.slots, self.mixed, self.silent, self.slowness = slots, mixed, False, 1.0
        self.in_flight: dict[int, list[Any]] = {}
        self.rows_in_flight = 0
        self.until = 0.0

    def takes(self, job: Any) -> bool:
        return len(self.in_flight) < self.slots

    def early_s(self, job: Any, now: float) -> float:
        return max(self.until - now, 0.0) if self.in_flight else 0.0

    def work_s(self) -> float:
        return float(len(self.in_flight))

    def give(self, until: float) -> None:
        self.in_flight[len(self.in_flight)] = []
        self.rows_in_flight += 3
        self.until = until

    def answer(self) -> None:
        self.in_flight.popitem()
        self.rows_in_flight -= 3


def looked_at(replicas: list[Stand], now: float) -> tuple[int | None, float]:
    """How many calls the least busy one has, or after how long there may be one."""
    there = [one for one in replicas if not one.silent and len(one.in_flight) < one.slots]
    free = [len(one.in_flight) for one in there if not one.early_s(JOB, now)]
    if free:
        return min(free), 0.0
    return None, min((one.early_s(JOB, now) for one in there), default=inf)


class Scene:
    """Replicas that come, work, fall silent and go, and the pool that hears of it."""

    def __init__(self, *, mixed: bool) -> None:
        self.pool = Pool(Pace())
        self.replicas: list[Any] = []
        self.now = 0.0
        self._mixed = mixed

    def come(self, number: int) -> None:
        self.replicas.append(Stand(mixed=self._mixed))
        self.pool.add(self.replicas[-1])

    def wait(self, number: int) -> None:
        self.now += number / 10

    def give(self, number: int) -> None:
        chosen: Any = self.pool.least_busy(JOB, self.now)[0]
        if chosen is not None:
            chosen.give(self.now + number / 10)
            self.pool.changed(chosen)

    def leave(self, number: int) -> None:
        if self.replicas:
            self.pool.remove(self.replicas.pop(number % len(self.replicas)))

    def answer(self, number: int) -> None:
        if self.replicas and self.one(number).in_flight:
            self.one(number).answer()
            self.pool.changed(self.one(number))

    def silence(self, number: int) -> None:
        if self.replicas:
            self.one(number).silent = not self.one(number).silent
            self.pool.changed(self.one(number))

    def slow(self, number: int) -> None:
        if self.replicas:
            self.one(number).slowness = 1.0 + number
            self.pool.changed(self.one(number))

    def one(self, number: int) -> Any:
        return self.replicas[number % len(self.replicas)]


STEP = st.tuples(
    st.sampled_from([Scene.give, Scene.answer, Scene.silence, Scene.slow, Scene.wait, Scene.leave, Scene.come]),
    st.integers(0, 5),
)


@settings(max_examples=300)
@given(st.lists(STEP, max_size=60), st.booleans(), st.integers(0, 4))
def test_whoever_is_found_is_as_little_busy_as_any(steps: list[Any], mixed: bool, count: int) -> None:
    scene = Scene(mixed=mixed)
    for _ in range(count):
        scene.come(0)
    for step, number in steps:
        step(scene, number)
        found, early_s = scene.pool.least_busy(JOB, scene.now)
        calls, expected_s = looked_at(scene.replicas, scene.now)
        assert (None if found is None else len(found.in_flight)) == calls
        assert early_s == pytest.approx(expected_s)
        assert found is None or found in scene.replicas
        assert len(scene.pool) == len(scene.replicas)
        total = sum(1 / one.slowness for one in scene.replicas)
        for one in scene.replicas:
            assert scene.pool.share(one) == pytest.approx(1 / one.slowness / total, rel=1e-4)


def test_what_they_have_to_do() -> None:
    pace = Pace()
    for rows in (10, 20):
        pace.saw(rows, 0.1 + rows * 0.01)
    pool = Pool(pace)
    assert pool.wait_s(1.0) == 0.0
    first: Any = Stand()
    second: Any = Stand()
    pool.add(first)
    pool.add(second)
    first.give(0.0)
    pool.changed(first)
    assert pool.wait_s(0.0) == pytest.approx(pace.expected_s(3, 1) / 2)
    assert pool.wait_s(1.0) == pytest.approx((1 + pace.expected_s(3, 1)) / 2)


def test_what_those_of_several_kinds_have_to_do() -> None:
    pool = Pool(Pace())
    one: Any = Stand(mixed=True)
    pool.add(one)
    one.give(0.0)
    pool.changed(one)
    assert pool.wait_s(0.5) == pytest.approx(1.5)
    assert list(pool) == [one]
