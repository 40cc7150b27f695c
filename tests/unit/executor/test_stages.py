"""The time of stages: who gets it, and that threads and tasks keep theirs apart."""

import asyncio
import contextvars
import threading

import pytest

from dure.executor import stages as stages_module
from dure.executor.stages import stage, stages_into


class Clock:
    """Goes on when it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stages_module, "perf_counter", clock)
    return clock


def spend(clock: Clock, name: str, seconds: float) -> None:
    with stage(name):
        clock.now += seconds


def test_stages_of_one_name_add_up(clock: Clock) -> None:
    found: dict[str, float] = {"before": 1.0}
    with stages_into(found):
        spend(clock, "tokenize", 2)
        spend(clock, "forward", 4)
        clock.now += 100
        spend(clock, "tokenize", 8)
    assert found == {"before": 1, "tokenize": 10, "forward": 4}


def test_one_inside_another_counts_in_both(clock: Clock) -> None:
    found: dict[str, float] = {}
    with stages_into(found), stage("outer"):
        clock.now += 1
        spend(clock, "inner", 2)
    assert found == {"inner": 2, "outer": 3}


def test_nobody_reads_them(clock: Clock) -> None:
    found: dict[str, float] = {}
    spend(clock, "before", 1)
    with stages_into(found):
        pass
    spend(clock, "after", 1)
    assert found == {}


def fail(clock: Clock, name: str, seconds: float) -> None:
    with stage(name):
        clock.now += seconds
        raise KeyError(name)


def test_a_stage_that_fails_is_counted_and_the_error_goes_on(clock: Clock) -> None:
    found: dict[str, float] = {}
    with pytest.raises(KeyError), stages_into(found):
        fail(clock, "broken", 3)
    spend(clock, "after", 1)
    assert found == {"broken": 3}


def test_readers_are_nested(clock: Clock) -> None:
    outer: dict[str, float] = {}
    inner: dict[str, float] = {}
    with stages_into(outer):
        with stages_into(inner):
            spend(clock, "a", 1)
        spend(clock, "b", 2)
    assert inner == {"a": 1}
    assert outer == {"b": 2}


async def test_tasks_keep_theirs_apart(clock: Clock) -> None:
    async def work(seconds: float) -> dict[str, float]:
        found: dict[str, float] = {}
        with stages_into(found):
            await asyncio.sleep(0)
            spend(clock, "x", seconds)
            await asyncio.sleep(0)
        return found

    assert list(await asyncio.gather(work(1.0), work(2.0))) == [{"x": 1}, {"x": 2}]


def test_a_thread_takes_them_with_the_context(clock: Clock) -> None:
    found: dict[str, float] = {}
    with stages_into(found):
        context = contextvars.copy_context()
    for run in (lambda: spend(clock, "without", 1), lambda: context.run(spend, clock, "with", 2)):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert found == {"with": 2}
