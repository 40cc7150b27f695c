"""Whether the load generator is the limit: its share of the processor, and how late its event loop turns to things.

What the loop is late by is added to every latency, at the sending and again at the answer. Knows this process;
knows nothing of the service.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import process_time, thread_time

import numpy as np

MAX_CPU_SHARE = 0.9  # of a core: one event loop can have no more than one
MAX_LATE_SHARE = 0.25  # of the latency that is told
MIN_LATE_S = 0.0005  # what a system's scheduler does to anybody

_BEAT_S = 0.005


@dataclass(frozen=True, slots=True)
class Generator:
    """What the load generator needed for itself.

    Args:
        cpu_share: Processor time of its process over the time that passed: 1.0 is one core.
        loop_share: The same of the thread with the event loop alone; this one cannot exceed 1.0.
        lag_s: How late the loop was, by percentile (`p50`, `p99`).
        late_s: How late requests of an open loop were turned to, by percentile; empty in a closed loop.
        num_held: Requests that waited for a free connection.
    """

    cpu_share: float
    loop_share: float
    lag_s: Mapping[str, float]
    late_s: Mapping[str, float]
    num_held: int


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen of this process during a run: shares as in `Generator`, and every lag in seconds."""

    cpu_share: float
    loop_share: float
    lags_s: Sequence[float]


async def watch(zero_s: float, duration_s: float) -> Watched:
    """Watch this process from `zero_s` on the loop's clock; await it beside the load."""
    now = asyncio.get_running_loop().time
    await asyncio.sleep(max(0.0, zero_s - now()))
    start, process, thread = now(), process_time(), thread_time()
    lags: list[float] = []
    while (at := now()) < zero_s + duration_s:
        await asyncio.sleep(_BEAT_S)
        lags.append(now() - at - _BEAT_S)
    passed = max(now() - start, 1e-9)
    return Watched((process_time() - process) / passed, (thread_time() - thread) / passed, lags)


def lateness(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Return the percentiles that are looked at; nothing of nothing."""
    if not len(values):
        return {}
    return {"p50": float(np.quantile(values, 0.5)), "p99": float(np.quantile(values, 0.99))}


def reasons(generator: Generator, latency_s: Mapping[str, float]) -> list[str]:
    """Return why figures say more of the load generator than of the service; nothing where they do not.

    Args:
        generator: What it needed.
        latency_s: Measured latencies by percentile, as far as there are any.
    """
    found = []
    if generator.loop_share > MAX_CPU_SHARE:
        found.append(f"the load generator used {generator.loop_share:.0%} of a core, all that one event loop can")
    for name, latency in latency_s.items():
        late = max(generator.lag_s.get(name, 0.0), generator.late_s.get(name, 0.0))
        if late > max(MIN_LATE_S, MAX_LATE_SHARE * latency):
            told = f"{late * 1e3:.2f} ms late, for latencies of {latency * 1e3:.2f} ms ({name} of both)"
            found.append(f"the load generator was {told}")
            break
    return found
