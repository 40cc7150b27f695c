"""The chapter's second problem: reading and writing what lives on a device, by size, and value by value.

Knows which call of `nd` goes which way; takes the clocks as they are given.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np

from dure.bench.clock import is_real_gpu
from dure.bench.products import Clocks, fits
from dure.bench.timing import Effort, Spread, Work, measured
from dure.bench.transferred import counted
from dure.device import nd, nn
from dure.device.context import Context, cpu
from dure.device.transfer import Moved

_FIRST_BYTES = 4
_STEP = 8
INSIDE = "inside"
"""Way of a copy that stays on the device: what its memory can do."""


@dataclass(frozen=True, slots=True)
class Copy:
    """An array copied as a whole.

    Args:
        device: Which device.
        way: `inside` it, into memory that is there; `write` to it or `read` from it, into new memory, as `copyto` and
            `asnumpy` do; `write pinned` and `read pinned` between the device and locked memory of the host, both
            there already: what the bus can do.
        num_bytes: Size of the array.
        seconds: Of one copy.
        bytes_per_s: Size over seconds: each byte is read once and written once.
        moved: What the ledger counted for one copy; `None` for pinned memory, which `nd` does not know.
    """

    device: str
    way: str
    num_bytes: int
    seconds: Spread
    bytes_per_s: Spread
    moved: Moved | None


@dataclass(frozen=True, slots=True)
class Access:
    """The weights of a layer read or written, one value at a time and all at once.

    Args:
        device: Where the layer lives.
        way: `read` or `write`.
        num_values: Number of weights.
        one_by_one: Seconds for all of them, one at a time.
        at_once: Seconds for all of them together.
        moved_one_by_one: What the ledger counted, one at a time.
        moved_at_once: What it counted for all of them together.
    """

    device: str
    way: str
    num_values: int
    one_by_one: Spread
    at_once: Spread
    moved_one_by_one: Moved
    moved_at_once: Moved


def copies(context: Context, clocks: Clocks, effort: Effort) -> list[Copy]:
    """Measure copies of growing size inside a device, to it and from it.

    Raises:
        DeviceNotFound: The device is not on this machine.
    """
    found: list[Copy] = []
    end = monotonic() + effort.sweep_s
    num_bytes = _FIRST_BYTES
    while fits(num_bytes, context, effort) and monotonic() < end:
        for way, work in _ways(context, num_bytes):
            clock = clocks.device if way == INSIDE else clocks.host
            seconds = measured(work, clock, effort)
            moved = None if "pinned" in way else counted(work)
            found.append(Copy(str(context), way, num_bytes, seconds, seconds.per_second(float(num_bytes)), moved))
        num_bytes *= _STEP
    return found


def access(context: Context, num_values: int, clocks: Clocks, effort: Effort) -> list[Access]:
    """Measure reading and writing the weights of a layer with so many inputs and one output.

    Raises:
        DeviceNotFound: The device is not on this machine.
    """
    layer = nn.Dense(1, in_units=num_values)
    layer.initialize(ctx=context)
    weight = layer.weight.data()
    values = np.linspace(0.0, 1.0, num_values, dtype=np.float32)[None]  # (1, values)
    numbers = [float(value) for value in values[0]]

    def write_one_by_one() -> None:
        for at, number in enumerate(numbers):
            weight[0, at] = number

    works: dict[str, tuple[Work, Work]] = {
        "read": (lambda: [weight[0, at].asscalar() for at in range(num_values)], weight.asnumpy),
        "write": (write_one_by_one, lambda: layer.weight.set_data(nd.array(values, ctx=context))),
    }
    return [
        Access(
            str(context),
            way,
            num_values,
            one_by_one=measured(each, clocks.host, effort),
            at_once=measured(whole, clocks.host, effort),
            moved_one_by_one=counted(each),
            moved_at_once=counted(whole),
        )
        for way, (each, whole) in works.items()
    ]


def best(found: Sequence[Copy], device: str, way: str) -> float:
    """Return the best rate over all sizes, in bytes per second; 0 where there is none."""
    return max((copy.bytes_per_s.median for copy in found if copy.device == device and copy.way == way), default=0.0)


def ceiling(found: Sequence[Copy], device: str) -> float:
    """Return what the device's memory copies per second at the largest size, which no cache holds."""
    inside = [copy for copy in found if copy.device == device and copy.way == INSIDE]
    return max(inside, key=lambda copy: copy.num_bytes).bytes_per_s.median if inside else 0.0


def _ways(context: Context, num_bytes: int) -> Iterator[tuple[str, Work]]:
    there, other = (nd.random.uniform(shape=num_bytes // 4, ctx=context) for _ in range(2))
    yield INSIDE, lambda: there.copyto(other)
    if context == cpu():
        return
    here = there.copyto(cpu())
    yield "write", lambda: here.copyto(context)
    yield "read", there.asnumpy
    if is_real_gpu(context):
        pinned, tensor = here.torch().pin_memory(), there.torch()
        yield "write pinned", lambda: tensor.copy_(pinned, non_blocking=True)
        yield "read pinned", lambda: pinned.copy_(tensor, non_blocking=True)
