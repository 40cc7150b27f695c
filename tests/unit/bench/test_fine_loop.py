import asyncio
import sys
from time import perf_counter

import pytest

from dure.bench.fine_loop import fine_loop


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux does asyncio wait in whole milliseconds")
def test_it_wakes_within_a_millisecond() -> None:
    async def waits() -> list[float]:
        found = []
        for _ in range(50):
            start = perf_counter()
            await asyncio.sleep(0.0002)
            found.append(perf_counter() - start)
        return found

    with asyncio.Runner(loop_factory=fine_loop) as runner:
        waited = runner.run(waits())
    # However busy the machine is, some of them are in time; asyncio's own loop never is before 1 ms.
    assert 0.0002 <= min(waited) < 0.0008


def test_it_hears_of_files_and_threads_while_it_waits() -> None:
    async def asks() -> str:
        return await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 20.0)

    with asyncio.Runner(loop_factory=fine_loop) as runner:
        assert runner.run(asks()) == "done"
