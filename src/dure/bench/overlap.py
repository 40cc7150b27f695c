"""The chapter's fourth problem: two products at once against one after the other.

On two GPUs, or else in two streams of one GPU, or in two threads that share the host's cores. Knows how work is
started on each without waiting for the other; takes the clock as it is given.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dure.bench.clock import Clock, is_real_gpu
from dure.bench.timing import Effort, Spread, Work, compared, ratio
from dure.deps import require
from dure.device import nd
from dure.device.context import Context, cpu
from dure.device.library import library

_PRODUCTS_EACH = 4


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two rows of products of one size.

    Args:
        where: What works at the same time: `gpu(0) and gpu(1)`, `two streams of gpu(0)`, …
        side: Rows and columns of each matrix.
        num_products: Products in each of the two rows.
        one_by_one: Seconds for both rows on the first device, one after the other.
        at_once: Seconds for both rows at the same time.
        speedup: How many times as fast; 2 is all that can be had.
    """

    where: str
    side: int
    num_products: int
    one_by_one: Spread
    at_once: Spread
    speedup: Spread


def pairs(contexts: Sequence[Context]) -> list[tuple[Context, Context]]:
    """Return what is measured: the first two GPUs if there are two, and each kind of device with itself."""
    gpus = [context for context in contexts if context.kind == "gpu"]
    found = [(gpus[0], gpus[1])] if len(gpus) > 1 else [(gpu, gpu) for gpu in gpus]
    return found + [(cpu(), cpu()) for context in contexts if context == cpu()]


def overlap(pair: tuple[Context, Context], side: int, clock: Clock, effort: Effort) -> Overlap:
    """Measure two rows of products, at once and one after the other, in turn.

    Args:
        pair: The two devices; the same one twice for two streams or threads of it.
        side: Rows and columns of each matrix.
        clock: What time is read from; it must wait for both devices.
        effort: How long.

    Raises:
        DeviceNotFound: A device is not on this machine.
    """
    first, second = pair
    near, far = _Row(first, side), _Row(second, side)
    other = near if first == second else _Row(first, side)

    def one_by_one() -> None:
        near.run()
        other.run()

    with _together(near, far) as (where, at_once):
        rounds = compared({"one by one": one_by_one, "at once": at_once}, clock, effort)
    times = rounds["one by one"], rounds["at once"]
    return Overlap(where, side, _PRODUCTS_EACH, Spread.of(times[0]), Spread.of(times[1]), ratio(*times))


class _Row:
    """Some products, one after the other, of matrices of its own."""

    def __init__(self, context: Context, side: int) -> None:
        self.context = context
        self._left, self._right = (nd.random.uniform(-1.0, 1.0, (side, side), context) for _ in range(2))

    def run(self) -> None:
        """Ask for the products; a GPU computes them later."""
        for _ in range(_PRODUCTS_EACH):
            nd.dot(self._left, self._right)

    def finish(self) -> None:
        """Ask for the products, and wait for them."""
        self.run()
        self._left.wait_to_read()


@contextmanager
def _together(near: _Row, far: _Row) -> Iterator[tuple[str, Work]]:
    real = [is_real_gpu(row.context) for row in (near, far)]
    if near.context != far.context and all(real):
        yield f"{near.context} and {far.context}", _on_both(near, far)
    elif all(real):
        yield f"two streams of {near.context}", _in_streams(near, far)
    else:
        same = near.context == far.context
        where = f"two threads of {near.context}" if same else f"{near.context} and {far.context}, two threads"
        with ThreadPoolExecutor(2, "product") as pool:
            told, work = _in_threads(near, far, pool)
            yield where + told, work


def _on_both(near: _Row, far: _Row) -> Work:
    def run() -> None:
        near.run()
        far.run()

    return run


def _in_streams(near: _Row, far: _Row) -> Work:
    cuda: Any = require("torch", "torch").cuda
    device = near.context.torch_name
    cuda.synchronize(device)  # the matrices were made in another stream
    streams = [cuda.Stream(device), cuda.Stream(device)]

    def run() -> None:
        for stream, row in zip(streams, (near, far), strict=True):
            with cuda.stream(stream):
                row.run()

    return run


def _in_threads(near: _Row, far: _Row, pool: ThreadPoolExecutor) -> tuple[str, Work]:
    if library() != "torch":
        return "", lambda: [*pool.map(_Row.finish, (near, far))]
    torch = require("torch", "torch")
    cores: int = torch.get_num_threads()
    half = max(1, cores // 2)

    def finish(row: _Row) -> None:
        torch.set_num_threads(half)  # some of it counts for a thread, some for the process
        row.finish()

    def run() -> None:
        try:
            for _ in pool.map(finish, (near, far)):
                pass
        finally:
            torch.set_num_threads(cores)

    return f", {half} of {cores} cores each", run
