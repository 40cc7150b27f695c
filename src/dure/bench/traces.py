"""The chapter's third problem: 1,000 products of 100x100 matrices, with a look at each or one at the end.

What is looked at is tr(M M^T), the sum of the squares of the elements. Knows when a value leaves the device; takes
the clock and what is written to as they are given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TextIO

import numpy as np

from dure.bench.clock import Clock
from dure.bench.timing import Effort, Spread, compared, ratio
from dure.bench.transferred import counted
from dure.device import nd
from dure.device.array import NDArray
from dure.device.context import Context
from dure.device.transfer import Moved
from dure.errors import DeviceError

SIDE = 100
NUM_PRODUCTS = 1000


@dataclass(frozen=True, slots=True)
class Traces:
    """All the products, the log moved after every so many of them.

    Args:
        device: Where.
        num_products: How many.
        every: After how many products values leave the device; 1: each is printed as it comes, without a log.
        seconds: Of all products.
        slower: Times as long as with one look at the end.
        moved: What the ledger counted.
    """

    device: str
    num_products: int
    every: int
    seconds: Spread
    slower: Spread
    moved: Moved


def looks(num_products: int = NUM_PRODUCTS) -> list[int]:
    """Return after how many products values leave the device, from each to all: 1, 10, 100, 1000."""
    return [every for every in (1, 10, 100, 1000, 10_000) if every < num_products] + [num_products]


def traces(context: Context, num_products: int, clock: Clock, effort: Effort, sink: TextIO) -> list[Traces]:
    """Measure the products with fewer and fewer looks, in turn.

    Args:
        context: Where.
        num_products: How many.
        clock: What time is read from: the host takes part.
        effort: How long.
        sink: What is printed to.

    Raises:
        DeviceError: Both ways do not give the same numbers.
        DeviceNotFound: The device is not on this machine.
    """
    factor = nd.random.uniform(0.0, 2.0 / SIDE, (SIDE, SIDE), context)  # of largest eigenvalue 1: nothing overflows
    first = nd.random.uniform(0.0, 1.0, (SIDE, SIDE), context)
    works = {every: partial(_run, first, factor, num_products, every, sink) for every in looks(num_products)}
    _check(works[1](), works[num_products](), context)
    rounds = compared({str(every): work for every, work in works.items()}, clock, effort)
    found = []
    for every, work in works.items():
        times = rounds[str(every)]
        slower = ratio(times, rounds[str(num_products)])
        found.append(Traces(str(context), num_products, every, Spread.of(times), slower, counted(work)))
    return found


def _run(first: NDArray, factor: NDArray, num_products: int, every: int, sink: TextIO) -> list[float]:
    if every == 1:
        return _each(first, factor, num_products, sink)
    product, values = first, []
    log = nd.zeros(every, first.context)
    for number in range(1, num_products + 1):
        product = nd.dot(product, factor)
        log[(number - 1) % every] = (product * product).sum()
        if number % every == 0:
            moved = log.asnumpy()
            print(moved, file=sink)
            values.extend(moved.tolist())
    return values


def _each(first: NDArray, factor: NDArray, num_products: int, sink: TextIO) -> list[float]:
    product, values = first, []
    for _ in range(num_products):
        product = nd.dot(product, factor)
        value = (product * product).sum().asscalar()
        print(value, file=sink)
        values.append(value)
    return values


def _check(each: Sequence[float], once: Sequence[float], context: Context) -> None:
    if not np.allclose(each, once, rtol=1e-4):
        raise DeviceError(f"{context}: a log kept on the device holds other numbers than those moved one by one.")
