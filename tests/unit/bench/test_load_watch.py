import asyncio
from time import perf_counter

import pytest

from dure.bench.load_watch import Generator, lateness, reasons, watch


def generator(loop_share: float = 0.2, lag: float = 0.0, late: float = 0.0) -> Generator:
    return Generator(loop_share, loop_share, {"p50": 0.0, "p99": lag}, {"p50": 0.0, "p99": late}, 0)


def test_a_loop_that_has_no_more_to_give_is_the_limit() -> None:
    assert reasons(generator(loop_share=0.5), {"p50": 0.1}) == []
    (reason,) = reasons(generator(loop_share=0.95), {"p50": 0.1})
    assert "95% of a core" in reason


@pytest.mark.parametrize("kind", ["lag", "late"])
def test_lateness_counts_against_the_latency_that_is_measured(kind: str) -> None:
    assert reasons(generator(**{kind: 0.005}), {"p50": 0.02, "p99": 0.1}) == []
    (reason,) = reasons(generator(**{kind: 0.005}), {"p50": 0.004, "p99": 0.01})
    assert "5.00 ms late, for latencies of 10.00 ms (p99 of both)" in reason
    assert reasons(generator(**{kind: 0.0004}), {"p50": 0.0001, "p99": 0.0002}) == []


def test_lateness_of_nothing() -> None:
    assert lateness([]) == {}
    assert lateness([1.0, 2.0, 3.0]) == pytest.approx({"p50": 2.0, "p99": 2.98})


async def test_work_that_holds_the_loop_up_is_seen() -> None:
    now = asyncio.get_running_loop().time

    async def holds_up() -> None:
        for _ in range(5):
            await asyncio.sleep(0.005)
            end = perf_counter() + 0.02
            while perf_counter() < end:
                pass

    watched, _ = await asyncio.gather(watch(now(), 0.125), holds_up())
    assert max(watched.lags_s) > 0.01
    assert watched.loop_share > 0.1
    assert watched.cpu_share >= 0.9 * watched.loop_share
