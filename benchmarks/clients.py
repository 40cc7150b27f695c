"""Many clients at once: each sends one document, waits for its answer, and sends the next."""

import asyncio
import time
from collections.abc import Sequence

import numpy as np

from dure import AsyncClient


def drive(port: int, texts: Sequence[str], clients: int, on: str = "/encode") -> dict[str, float]:
    """Send every text once, one to a request; return docs/s and the latencies' quantiles."""
    return asyncio.run(_drive(port, texts, clients, on))


async def _drive(port: int, texts: Sequence[str], clients: int, on: str) -> dict[str, float]:
    left = iter(texts)
    times: list[float] = []
    async with AsyncClient(port=port) as client:

        async def one() -> None:
            for text in left:
                begin = time.perf_counter()
                await client.post(on, text)
                times.append(time.perf_counter() - begin)

        begin = time.perf_counter()
        await asyncio.gather(*[one() for _ in range(clients)])
        seconds = time.perf_counter() - begin
    p50, p99 = np.percentile(times, (50, 99)) * 1e3
    return {"docs_per_s": len(texts) / seconds, "p50_ms": float(p50), "p99_ms": float(p99)}
