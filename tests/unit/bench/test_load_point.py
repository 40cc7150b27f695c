"""A whole run, in virtual time, against services whose latencies follow from a law."""

import asyncio
from collections.abc import Iterator
from itertools import repeat
from math import log

import numpy as np
import pytest

from dure.bench.arrivals import poisson
from dure.bench.load import Load, Samples
from dure.bench.load_point import Asked, Point, told
from dure.bench.load_watch import Watched
from tests.unit.bench.virtual_time import OneServer, in_virtual_time

QUIET = Watched(cpu_share=0.1, loop_share=0.1, lags_s=[1e-5] * 100)
WARM_UP_S = 2.0


def exponential(rate: float, seed: int) -> Iterator[float]:
    rng = np.random.default_rng(seed)
    while True:
        yield from rng.exponential(1.0 / rate, 1000).tolist()


def run(rate: float, service_s: Iterator[float], duration_s: float, timeout_s: float = 60.0) -> Point:
    rng = np.random.default_rng(7)

    async def load() -> Samples:
        moments = poisson(rate, -WARM_UP_S, duration_s, rng).tolist()
        return await Load(OneServer(service_s), WARM_UP_S, timeout_s, 100_000).open_loop(moments)

    samples = in_virtual_time(load())
    return told(Asked("open", rate, duration_s), samples, QUIET, rng)


def test_random_service_is_measured_as_theory_has_it() -> None:
    """M/M/1: the time from arrival to answer is exponential with the rate that is left."""
    point = run(300.0, exponential(500.0, 3), 20.0)
    left = 500.0 - 300.0
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)):
        found = point.latency_s[name]
        assert found is not None
        assert found.low <= -log(1.0 - share) / left <= found.high, name
    assert point.mean_s is not None
    assert point.mean_s.low <= 1.0 / left <= point.mean_s.high
    assert point.answered.low <= 300.0 <= point.answered.high
    assert point.latency_s["p99.9"] is not None
    assert (point.failures, point.failed, point.invalid) == ({}, 0.0, [])
    assert point.course.verdict == "steady"


def test_service_that_takes_always_as_long_is_measured_as_theory_has_it() -> None:
    """M/D/1: the mean wait is half of that of random service."""
    point = run(300.0, repeat(1 / 500.0), 10.0)
    load = 300.0 / 500.0
    truth = 1 / 500.0 + load / (2.0 * 500.0 * (1.0 - load))
    assert point.mean_s is not None
    assert point.mean_s.low <= truth <= point.mean_s.high


def test_beyond_its_capacity_a_service_answers_at_its_own_rate_and_latency_rises() -> None:
    point = run(300.0, repeat(1 / 200.0), 4.0)
    assert point.answered.value == pytest.approx(200.0, rel=0.01)
    assert point.offered == pytest.approx(300.0, rel=0.1)
    assert point.course.verdict == "rising"


def test_the_warm_up_is_discarded_and_kept_apart() -> None:
    slow_at_first = iter([0.5, *repeat(0.001, 100_000)])
    point = run(100.0, slow_at_first, 3.0)
    assert point.greatest_s is not None
    assert point.greatest_s < 0.1
    assert min(point.samples.intended_s) < 0.0
    assert point.num_requests == sum(at >= 0.0 for at in point.samples.intended_s)


def test_what_failed_is_in_no_percentile() -> None:
    point = run(220.0, repeat(1 / 200.0), 6.0, timeout_s=0.5)
    assert point.failures["timeout"] > 100
    assert point.failed == pytest.approx(sum(point.failures.values()) / point.num_requests)
    assert point.greatest_s is not None
    assert point.greatest_s < 0.5
    assert point.messages.keys() == point.failures.keys()


def test_nothing_answered_is_told_as_such() -> None:
    point = run(20.0, repeat(10.0), 1.0, timeout_s=0.1)
    assert point.answered.value == 0.0
    assert point.mean_s is None
    assert point.greatest_s is None
    assert set(point.latency_s.values()) == {None}
    assert point.failed == 1.0


def test_a_load_generator_that_is_late_makes_the_figures_invalid() -> None:
    async def late() -> Samples:
        loop = asyncio.get_running_loop()
        load = Load(OneServer(repeat(0.01)), 0.0, 60.0, 1000)
        work = asyncio.create_task(load.open_loop([at / 10 for at in range(100)]))
        while not work.done():
            await asyncio.sleep(0.02)
            loop.now_s += 0.05  # type: ignore[attr-defined]  # the loop is busy for so long
        return await work

    samples = in_virtual_time(late())
    point = told(Asked("open", 10.0, 10.0), samples, QUIET, np.random.default_rng(0))
    assert point.generator.late_s["p50"] > 0.01
    assert point.invalid
    assert all("late" in reason for reason in point.invalid)
