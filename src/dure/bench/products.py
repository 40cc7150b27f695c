"""The chapter's first problem: matrix products of growing size, on every device, and where each of them wins.

Knows what a product costs in operations; takes the clocks as they are given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic

from dure.bench.clock import Clock
from dure.bench.timing import Effort, Spread, measured
from dure.bench.transferred import counted
from dure.device import nd
from dure.device.array import NDArray
from dure.device.context import Context, cpu
from dure.device.probe import require_device
from dure.device.transfer import Moved

_FIRST_SIDE = 16
_LARGE_SIDE = 512
_FULL_AFTER = 3  # sizes in a row that add nothing
_NO_GAIN = 1.03
_ITEM_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True, slots=True)
class Product:
    """One product of two square matrices.

    Args:
        device: Where.
        dtype: Type of the elements.
        side: Rows and columns.
        seconds: Of one product; matrices and result stay on the device.
        flops: Operations per second, 2 side^3 to a product.
        with_moves: Seconds where both matrices come from the host and the result goes there; of float32 on a GPU.
        moved: What the ledger counted for one product with moves.
    """

    device: str
    dtype: str
    side: int
    seconds: Spread
    flops: Spread
    with_moves: Spread | None = None
    moved: Moved | None = None


@dataclass(frozen=True, slots=True)
class Clocks:
    """The two clocks of a device: its own, and that of the host together with it."""

    device: Clock
    host: Clock


def sweep(context: Context, dtype: str, clocks: Clocks, effort: Effort) -> list[Product]:
    """Measure products of doubling size until the device is full, or the time is up.

    Args:
        context: The device.
        dtype: `float32`, `float16` or `bfloat16`.
        clocks: What time is read from.
        effort: How long.

    Raises:
        DeviceNotFound: The device is not on this machine.
    """
    found: list[Product] = []
    end = monotonic() + effort.sweep_s
    side = _FIRST_SIDE
    while fits(side * side * _ITEM_BYTES[dtype], context, effort):
        found.append(_measured(side, dtype, context, clocks, effort))
        if found[-1].seconds.least > effort.sweep_call_s or is_full(found) or monotonic() > end:
            break
        side *= 2
    return found


def peak(context: Context, dtype: str, clock: Clock, effort: Effort) -> float:
    """Return the best rate of large products, in operations per second: what a model can be held against.

    Raises:
        DeviceNotFound: The device is not on this machine.
    """
    rates: list[float] = []
    side = _LARGE_SIDE
    while fits(side * side * _ITEM_BYTES[dtype], context, effort):
        left, right = (_matrix(side, context, dtype) for _ in range(2))
        seconds = measured(partial(nd.dot, left, right), clock, effort)
        rates.append(2.0 * side**3 / seconds.median)
        if seconds.least > effort.sweep_call_s or rates[-1] < _NO_GAIN * max(rates[:-1], default=0.0):
            break
        side *= 2
    return max(rates, default=0.0)


def is_full(found: Sequence[Product]) -> bool:
    """Return whether the last sizes did not raise the rate any more."""
    if len(found) <= _FULL_AFTER:
        return False
    before = max(product.flops.median for product in found[:-_FULL_AFTER])
    return all(product.flops.median < _NO_GAIN * before for product in found[-_FULL_AFTER:])


def ceiling(found: Sequence[Product], device: str, dtype: str) -> float:
    """Return the best rate over all sizes, in operations per second; 0 where there is none."""
    return max((p.flops.median for p in found if p.device == device and p.dtype == dtype), default=0.0)


def wins_from(found: Sequence[Product], device: str, *, moves: bool) -> int | None:
    """Return the side from which on a device beats the host; `None` where it never does.

    Args:
        found: Products of both.
        device: The device.
        moves: Whether the matrices come from the host and go back there.
    """
    host = {p.side: p.seconds.median for p in found if p.device == str(cpu()) and p.dtype == "float32"}
    wins: int | None = None
    for product in (p for p in found if p.device == device and p.dtype == "float32" and p.side in host):
        spread = product.with_moves if moves else product.seconds
        faster = spread is not None and spread.median < host[product.side]
        wins = (wins or product.side) if faster else None
    return wins


def fits(num_bytes: int, context: Context, effort: Effort) -> bool:
    """Return whether arrays of this size leave room, on the device and on the host, for those made of them."""
    free = [require_device(place).memory_free_bytes for place in (context, cpu())]
    return num_bytes <= effort.max_bytes and all(size is None or 8 * num_bytes <= size for size in free)


def _measured(side: int, dtype: str, context: Context, clocks: Clocks, effort: Effort) -> Product:
    left, right = (_matrix(side, context, dtype) for _ in range(2))
    seconds = measured(lambda: nd.dot(left, right), clocks.device, effort)
    flops = seconds.per_second(2.0 * side**3)
    if context == cpu() or dtype != "float32":
        return Product(str(context), dtype, side, seconds, flops)
    hosts = [left.copyto(cpu()), right.copyto(cpu())]

    def there_and_back() -> NDArray:
        return nd.dot(hosts[0].copyto(context), hosts[1].copyto(context)).copyto(cpu())

    with_moves = measured(there_and_back, clocks.host, effort)
    return Product(str(context), dtype, side, seconds, flops, with_moves, counted(there_and_back))


def _matrix(side: int, context: Context, dtype: str) -> NDArray:
    # Random numbers: a GPU multiplies zeros faster than anything that is worth multiplying.
    return nd.random.uniform(-1.0, 1.0, (side, side), context).astype(dtype)
