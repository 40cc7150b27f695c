"""The chapter's four problems, and what `nd` itself costs, on the devices of this machine.

Knows the order of measurements and their sizes; each problem is a file of its own, tables and plots are others'.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from dure.bench.clock import device_clock, host_clock, is_real_gpu
from dure.bench.machine import cpu_has, described
from dure.bench.overhead import SIDE, Overhead, overheads
from dure.bench.overlap import Overlap, overlap, pairs
from dure.bench.parameters import Access, Copy, access, copies
from dure.bench.products import Clocks, Product, ceiling, sweep
from dure.bench.session import Session
from dure.bench.timing import FULL, QUICK, Effort, measured
from dure.bench.traces import NUM_PRODUCTS, Traces, traces
from dure.device import nd
from dure.device.context import Context, cpu
from dure.device.library import library
from dure.device.probe import inventory

_SMALL_SIDE = 256
_LONG_PRODUCT_S = 0.005


@dataclass(frozen=True, slots=True)
class DeviceEffort:
    """How much is measured.

    Args:
        each: Of every point.
        num_products: Products of the third problem.
        num_values: Weights read and written one by one.
        side: Rows and columns of the arrays on which `nd` is compared with the bare library.
        wake_s: How long a GPU computes before anything is measured: at rest its clock is slow.
    """

    each: Effort = FULL
    num_products: int = NUM_PRODUCTS
    num_values: int = 1000
    side: int = SIDE
    wake_s: float = 1.0


FULL_EFFORT = DeviceEffort()
QUICK_EFFORT = DeviceEffort(each=QUICK, num_products=100, num_values=50, side=100, wake_s=0.1)


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """Everything that was measured.

    Args:
        about: The machine, see `dure.bench.machine.described`.
        products: The first problem.
        copies: The second: whole arrays.
        accesses: The second: value by value.
        traces: The third.
        overlaps: The fourth.
        overheads: What `nd` costs.
        failures: What could not be measured, and why.
    """

    about: dict[str, Any]
    products: list[Product] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    accesses: list[Access] = field(default_factory=list)
    traces: list[Traces] = field(default_factory=list)
    overlaps: list[Overlap] = field(default_factory=list)
    overheads: list[Overhead] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def devices(self) -> list[str]:
        """The devices, in the order in which they were asked for."""
        return [told["device"] for told in self.about["devices"]]

    def flops_ceiling(self, device: str, dtype: str) -> float:
        """Return the best product's operations per second."""
        return ceiling(self.products, device, dtype)


def present() -> list[Context]:
    """Return the devices of this machine, the host first."""
    return [device.context for device in inventory().devices]


def measure(session: Session, effort: DeviceEffort) -> DeviceReport:
    """Measure everything; what fails is told in the report, and the rest is measured all the same.

    Raises:
        DeviceNotFound: A device is not on this machine.
    """
    report = DeviceReport(described(session.contexts, session.commit))
    for context in session.contexts:
        session.run(str(context), _parts(context, report, effort), report.failures)
    for pair in pairs(session.contexts):
        where = " and ".join(map(str, dict.fromkeys(pair)))
        session.run(where, {"products at once": partial(_overlaps, pair, report, effort)}, report.failures)
    return report


def _parts(context: Context, report: DeviceReport, effort: DeviceEffort) -> dict[str, Callable[[], None]]:
    clocks = Clocks(device_clock(context), host_clock(context))

    def run_products(dtype: str) -> None:
        report.products.extend(sweep(context, dtype, clocks, effort.each))

    def run_copies() -> None:
        report.copies.extend(copies(context, clocks, effort.each))
        report.accesses.extend(access(context, effort.num_values, clocks, effort.each))

    def run_traces() -> None:
        with open(os.devnull, "w", buffering=1, encoding="utf-8") as sink:
            report.traces.extend(traces(context, effort.num_products, clocks.host, effort.each, sink))

    def run_overheads() -> None:
        report.overheads.extend(overheads(context, effort.side, clocks, effort.each))

    waking = {"waking up": partial(_wake, context, clocks, effort)} if is_real_gpu(context) else {}
    products = {f"products of {dtype} matrices": partial(run_products, dtype) for dtype in dtypes(context)}
    rest = {
        "reading and writing": run_copies,
        f"{effort.num_products} products, looked at": run_traces,
        f"what nd adds to {library()}": run_overheads,
    }
    return {**waking, **products, **rest}


def _overlaps(pair: tuple[Context, Context], report: DeviceReport, effort: DeviceEffort) -> None:
    for side in sorted({_SMALL_SIDE, _long_side(report, pair[0])}):
        report.overlaps.append(overlap(pair, side, host_clock(*pair), effort.each))


def dtypes(context: Context) -> list[str]:
    """Return the types of elements that make sense on a device: half precision where it is fast."""
    if library() != "torch":
        return ["float32"]
    if is_real_gpu(context):
        return ["float32", "float16", "bfloat16"]
    fast = context == cpu() and (cpu_has("amx_bf16") or cpu_has("avx512_bf16"))
    return ["float32", "bfloat16"] if fast else ["float32"]


def _long_side(report: DeviceReport, context: Context) -> int:
    """Return the smallest size whose product takes long beside the time that it takes to ask for it."""
    found = [p for p in report.products if p.device == str(context) and p.dtype == "float32"]
    long = [p.side for p in found if p.seconds.median >= _LONG_PRODUCT_S]
    return min(long, default=max((p.side for p in found), default=_SMALL_SIDE))


def _wake(context: Context, clocks: Clocks, effort: DeviceEffort) -> None:
    matrix = nd.random.uniform(-1.0, 1.0, (2048, 2048), context)
    busy = replace(effort.each, point_s=effort.wake_s, max_samples=10_000)
    measured(lambda: nd.dot(matrix, matrix), clocks.device, busy)
