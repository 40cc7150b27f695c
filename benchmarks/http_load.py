"""How many requests of one document a server that speaks HTTP answers, asked without a break by some connections.

wrk asks, where it is installed (Debian's package `wrk`). Elsewhere Python does, and may be slower than the server.
"""

import asyncio
import json
import os
import shutil
import subprocess
import time

import numpy as np
import uvloop

import processes
from http_client import Connection, body

WRK = shutil.which("wrk")
TOOL = "wrk" if WRK else "a client in Python, since wrk is not installed"
_BODY = body(["Using a GPU allows you to significantly speed up encoding."])


def load(port: int, clients: int, seconds: float, key: str = "") -> dict[str, float]:
    """Return "requests" and "failed" (how many), "requests_per_s", "p50_ms" and "p99_ms"."""
    if WRK:
        return _by_wrk(WRK, port, clients, seconds, key)
    return uvloop.run(_by_python(port, clients, seconds, key))


def _by_wrk(wrk: str, port: int, clients: int, seconds: float, key: str) -> dict[str, float]:
    command = [wrk, "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "20s"]
    command += ["-s", str(processes.FOLDER / "post.lua"), f"http://127.0.0.1:{port}/encode"]
    done = subprocess.run(
        command, env={**os.environ, "BODY": _BODY.decode(), "KEY": key}, capture_output=True, text=True
    )
    said = done.stdout.partition("wrk says ")[2]
    if not said:
        raise RuntimeError(f"wrk failed: {(done.stderr or done.stdout).strip()[-400:]}")
    told = json.loads(said)
    return {
        "requests": told["requests"],
        "failed": told["failed"],
        "requests_per_s": (told["requests"] - told["failed"]) / told["duration"] * 1e6,
        "p50_ms": told["p50"] / 1e3,
        "p99_ms": told["p99"] / 1e3,
    }


async def _by_python(port: int, clients: int, seconds: float, key: str) -> dict[str, float]:
    times: list[float] = []
    begin = time.perf_counter()

    async def one() -> None:
        connection = await Connection.open(port)
        while (start := time.perf_counter()) < begin + seconds:
            await connection.post(_BODY, key)
            times.append(time.perf_counter() - start)
        connection.close()

    await asyncio.gather(*[one() for _ in range(clients)])
    took = time.perf_counter() - begin
    p50, p99 = np.percentile(times, (50, 99)) * 1e3
    return {
        "requests": len(times),
        "failed": 0,
        "requests_per_s": len(times) / took,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
    }
