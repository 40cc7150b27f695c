"""Rows: unequal replicas, ten times more work than can be done, and none at all."""

import asyncio
import time
from collections.abc import Callable, Iterator

import numpy as np

from clients import drive
from dure import AsyncClient, Flow
from dure.errors import DeadlineExceeded, OverloadError
from noop import Noop
from processes import cpu_s, memory_mb
from report import Row, raw
from series import Series, interleaved
from sizes import Sizes
from sleepers import Batched, Unequal

FAST_S, SLOW_S = 0.002, 0.006
CALL_S, BATCH = 0.05, 8
TIMEOUT_S = 0.5
OVERLOAD = 10


def replicas(sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Row]:
    """Two replicas, one three times slower, against the sum of both alone."""
    texts = ["x"] * sizes.slept_documents

    def run(seconds: list[float]) -> dict[str, float]:
        with Flow().add(uses=Unequal, uses_with={"seconds": seconds}, replicas=len(seconds)) as flow:
            drive(flow.port, texts[:64], 32, "/work")
            return drive(flow.port, texts, 32, "/work")

    works = {
        "fast": lambda: run([FAST_S]),
        "slow": lambda: run([SLOW_S]),
        "both": lambda: run([FAST_S, SLOW_S]),
    }
    found = interleaved(sizes.rounds, works, tell)
    both, fast, slow = (found[f"{name}.docs_per_s"] for name in ("both", "fast", "slow"))
    ratio = Series(tuple(b / (f + s) for b, f, s in zip(both.values, fast.values, slow.values, strict=True)))
    yield Row(
        "2 unequal replicas (2 and 6 ms a document), 32 clients: rate against the sum of each alone",
        f"{ratio.text(2)} x; {both.text()} docs/s against {fast.text()} + {slow.text()}",
        ">= 0.9 x",
        ratio.median >= 0.9,
        raw(found),
    )


def overload(sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Row]:
    """Ten times the rate that can be served, for a while, with a deadline on every request."""
    with Flow().add(uses=Batched, uses_with={"seconds": CALL_S}) as flow:
        drive(flow.port, ["x"] * 64, 16, "/work")
        capacity = drive(flow.port, ["x"] * int(BATCH / CALL_S * 6), 32, "/work")["docs_per_s"]
        tell(f"capacity {capacity:.0f} docs/s; {OVERLOAD} times that for {sizes.overload_s:g} s")
        sizes_mb = [_memory(flow)]
        got = asyncio.run(_flood(flow.port, capacity * OVERLOAD, sizes.overload_s))
        sizes_mb.append(_memory(flow))
    goodput = len(got["answered"]) / sizes.overload_s
    p99_ms = float(np.percentile(got["answered"], 99)) * 1e3 if got["answered"] else float("inf")
    sent = sum(map(len, got.values()))
    yield Row(
        f"{OVERLOAD} x overload for {sizes.overload_s:g} s, timeout {TIMEOUT_S:g} s: answered in time against capacity",
        f"{goodput / capacity:.2f} x of {capacity:.0f} docs/s; p99 of the answered {p99_ms:.0f} ms; of {sent:,} sent"
        f" {len(got['refused']):,} refused, {len(got['expired']):,} expired; gateway and worker"
        f" {sizes_mb[0]:.0f} MB before, {sizes_mb[1]:.0f} MB after",
        f">= 0.9 x, p99 <= {TIMEOUT_S * 1e3:.0f} ms, memory flat",
        goodput >= 0.9 * capacity and p99_ms <= TIMEOUT_S * 1e3 and sizes_mb[1] < 1.1 * sizes_mb[0] + 5,
    )


async def _flood(port: int, rate: float, seconds: float) -> dict[str, list[float]]:
    got: dict[str, list[float]] = {"answered": [], "refused": [], "expired": []}
    tasks: set[asyncio.Task[None]] = set()
    chooser = np.random.default_rng(0)
    async with AsyncClient(port=port) as client:

        async def one() -> None:
            begin = time.perf_counter()
            kind = "answered"
            try:
                await client.post("/work", "x", timeout_s=TIMEOUT_S)
            except OverloadError:
                kind = "refused"
            except DeadlineExceeded:
                kind = "expired"
            got[kind].append(time.perf_counter() - begin)

        moment = end = time.perf_counter()
        end += seconds
        while moment < end:
            moment += chooser.exponential(1 / rate)
            await asyncio.sleep(max(0.0, moment - time.perf_counter()))
            task = asyncio.create_task(one())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
    return got


def _memory(flow: Flow) -> float:
    return sum(memory_mb(pid)[0] for pid in flow.pids().values())


def idle(sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Row]:
    """What a Flow costs that nobody asks anything."""
    with Flow().add(uses=Noop) as flow:
        flow.post("/", "x")
        time.sleep(1.0)
        pids = list(flow.pids().values())
        shares: list[float] = []
        for number in range(sizes.rounds):
            before = cpu_s(pids)
            time.sleep(sizes.idle_s)
            shares.append((cpu_s(pids) - before) / sizes.idle_s * 100)
            tell(f"round {number + 1} of {sizes.rounds}")
    share = Series.of(shares)
    yield Row(
        f"an idle Flow, CPU of all its processes over {sizes.idle_s:g} s, of one core",
        f"{share.text(2)} %",
        "< 0.5 %",
        share.median < 0.5,
        raw({"percent": share}),
    )
