"""A service under load: its capacity, the curve of latency over rate, and where that has its knee.

The order of things, and what is kept; how a request is sent and what a run comes to, others know.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dure.bench import load_texts, machine
from dure.bench.fine_loop import fine_loop
from dure.bench.load import Sender
from dure.bench.load_flow import FlowSender
from dure.bench.load_http import inference_sender, template_sender
from dure.bench.load_point import Asked, Point
from dure.bench.load_series import Series
from dure.bench.load_target import parse
from dure.bench.saturation import Level, knee, sustained
from dure.bench.workload import Workload
from dure.device.context import cpu
from dure.errors import ConnectionLost, RequestError

SHARES = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.2)
"""Rates of a curve, as parts of the capacity."""
QUICK_SHARES = (0.25, 0.5, 0.75, 1.2)


@dataclass(frozen=True, slots=True)
class ServeReport:
    """What a service did.

    Args:
        about: What it was measured on, see `dure.bench.machine`.
        workload: What was asked for.
        is_local: Whether service and load generator shared one machine.
        points: Every load, in the order of measurement.
        capacity: The most answers per second with clients that wait; `None` where that was not looked for.
        knee: The rate with most answers for the wait, in requests per second; `None` for fewer than three rates.
        percentile: Which latency the knee is told by: the highest percentile that all rates have.
        sustained: The highest rate up to which all were kept up with, in requests per second.
        failures: Why the run is not valid.
    """

    about: dict[str, Any]
    workload: Workload
    is_local: bool
    points: list[Point]
    capacity: float | None
    knee: float | None
    percentile: str
    sustained: float | None
    failures: list[str]

    def curve(self) -> list[Point]:
        """Return the points of the open loop by rate."""
        return sorted((one for one in self.points if one.asked.mode == "open"), key=lambda one: one.asked.amount)

    def clients(self) -> list[Point]:
        """Return the points of the closed loop by number of clients."""
        return sorted((one for one in self.points if one.asked.mode == "closed"), key=lambda one: one.asked.amount)


def measure(workload: Workload, tell: Callable[[str], None]) -> ServeReport:
    """Put a service under load.

    Args:
        workload: What load, and which service.
        tell: Called with a line before each load.

    Raises:
        SpecError: The workload cannot be: an address, a body, texts.
        ConnectionLost: Nobody answers there.
        RequestError: The very first request fails.
    """
    is_local = parse(workload.target).is_local
    with asyncio.Runner(loop_factory=fine_loop) as runner:
        points = runner.run(_measured(workload, tell))
    opened = [point for point in points if point.asked.mode == "open"]
    name = _percentile(opened)
    levels = [_level(point, found.value) for point in opened if (found := point.latency_s[name]) is not None]
    best, highest = (knee(levels) if len(levels) > 2 else None), sustained(levels)
    closed = [point.answered.value for point in points if point.asked.mode == "closed"]
    return ServeReport(
        _about(),
        workload,
        is_local,
        points,
        capacity=max(closed, default=None),
        knee=None if best is None else best.offered,
        percentile=name,
        sustained=None if highest is None else highest.offered,
        failures=[f"INVALID: {point.asked}: {reason}" for point in points for reason in point.invalid],
    )


async def _measured(workload: Workload, tell: Callable[[str], None]) -> list[Point]:
    sender = await _sender(workload)
    try:
        await _try(sender, workload)
        series = Series(workload, sender, tell)
        if workload.rates or workload.clients:
            for amount in workload.clients:
                await series.add(Asked("closed", amount, workload.duration_s), workload.warmup_s)
            rates: Sequence[float] = workload.rates
        else:
            capacity = await series.capacity()
            rates = [float(f"{share * capacity:.3g}") for share in (QUICK_SHARES if workload.quick else SHARES)]
        for rate in rates:
            await series.add(Asked("open", rate, workload.duration_s), workload.warmup_s)
        return series.points
    finally:
        await sender.close()


async def _sender(workload: Workload) -> Sender:
    target = parse(workload.target)
    rng = np.random.default_rng(workload.seed)
    size = workload.docs_per_request
    texts = load_texts.lines_of(Path(workload.texts)) if workload.texts else load_texts.sentences()
    if workload.words is not None:
        texts = load_texts.mixed(texts, workload.words, load_texts.NUM_REQUESTS * size, rng)
    requests = load_texts.requests_of(texts, size, rng)
    if target.kind == "flow":
        return FlowSender(target.address, workload.endpoint, requests)
    if target.kind == "oip":
        return await inference_sender(target, requests)
    return template_sender(target, workload.body, requests)


async def _try(sender: Sender, workload: Workload) -> None:
    """Send one request.

    Raises:
        ConnectionLost: Nobody is there.
        RequestError: It fails.
    """
    try:
        async with asyncio.timeout(workload.timeout_s):
            refusal = await sender.send(0)
    except TimeoutError as error:
        raise RequestError(
            f"{workload.target} did not answer the first request within {workload.timeout_s:g} s (--timeout)"
        ) from error
    if refusal is not None:
        lost = refusal.kind in ("cannot_connect", ConnectionLost.code)
        raise (ConnectionLost if lost else RequestError)(
            f"{workload.target} did not answer the first request: {refusal.kind}: {refusal.message}"
        )


def _percentile(points: Sequence[Point]) -> str:
    """Return the highest percentile that all points have."""
    names = [name for name in ("p99", "p95", "p90") if all(point.latency_s[name] for point in points)]
    return [*names, "p50"][0]


def _level(point: Point, latency_s: float) -> Level:
    return Level(point.offered, point.answered.value, latency_s, point.failed, point.course.queue_grows)


def _about() -> dict[str, Any]:
    """Return what is known of this machine; loads no array library, which a load generator has no use for."""
    return {
        "date": machine.today(),
        "commit": machine.found_commit(),
        "cpu": machine.cpu_model(),
        "cores": machine.num_cores(),
        "versions": machine.versions(),
        "devices": [{"device": str(cpu()), "name": machine.cpu_model()}],
    }
