"""Loads on one service, one after the other: the search for its capacity, and each from its warm-up to its figures.

Knows the running loop's clock; does not know the service.
"""

import asyncio
import gc
from collections.abc import Callable

import numpy as np

from dure.bench.arrivals import poisson
from dure.bench.load import Load, Sender
from dure.bench.load_point import Asked, Point, told
from dure.bench.load_watch import watch
from dure.bench.workload import Workload
from dure.errors import RequestError

_NO_GAIN = 1.05
_MAX_PROBE_S = 3.0
_MAX_QUICK_PROBE_S = 1.0
_PROBE_WARM_UP = 0.25  # of a probe's length
_LEAD_S = 0.02  # from the call to the first moment
_REST_S = 0.2  # between two loads


class Series:
    """Loads, one after the other; what each came to is in `points`.

    Args:
        workload: How long, with which limits.
        sender: Speaks to the service.
        tell: Called with a line before each load.
    """

    def __init__(self, workload: Workload, sender: Sender, tell: Callable[[str], None]) -> None:
        self._workload = workload
        self._sender = sender
        self._tell = tell
        self.points: list[Point] = []

    async def capacity(self) -> float:
        """Double the clients until that adds nothing; return the best rate, in answers per second.

        Raises:
            RequestError: None was answered.
        """
        quick = self._workload.quick
        length = min(self._workload.duration_s, _MAX_QUICK_PROBE_S if quick else _MAX_PROBE_S)
        rates: list[float] = []
        num_clients, step = 1, 4 if quick else 2
        while num_clients <= self._workload.max_connections:
            await self.add(Asked("closed", num_clients, length), length * _PROBE_WARM_UP)
            rates.append(self.points[-1].answered.value)
            if not rates[-1]:
                raise RequestError(f"{self._workload.target} answered no request: {self.points[-1].messages}")
            # One step without gain may be chance, or one client too many for a batch.
            if len(rates) > 2 and max(rates[-2:]) < _NO_GAIN * max(rates[:-2]):
                break
            num_clients *= step
        return max(rates)

    async def add(self, asked: Asked, warmup_s: float) -> None:
        """Measure one load."""
        self._tell(f"{asked}, {asked.duration_s:g} s after a warm-up of {warmup_s:g} s")
        rng = np.random.default_rng([self._workload.seed, len(self.points)])
        gc.collect()  # now, and not in the middle
        zero = asyncio.get_running_loop().time() + warmup_s + _LEAD_S
        load = Load(self._sender, zero, self._workload.timeout_s, self._workload.max_connections)
        if asked.mode == "open":
            run = load.open_loop(poisson(asked.amount, -warmup_s, asked.duration_s, rng).tolist())
        else:
            run = load.closed_loop(int(asked.amount), -warmup_s, asked.duration_s)
        samples, watched = await asyncio.gather(run, watch(zero, asked.duration_s))
        self.points.append(told(asked, samples.rounded(), watched, rng))
        await asyncio.sleep(_REST_S)
