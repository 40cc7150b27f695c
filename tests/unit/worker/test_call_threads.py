"""Methods in threads: how many at a time, whose context, and what becomes of those that are not begun."""

import asyncio
import contextvars
import threading
from functools import partial

import pytest

from dure.worker.call_threads import CallThreads

name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")
TIMEOUT_S = 20.0


async def test_as_many_run_at_a_time_as_there_are_threads() -> None:
    threads = CallThreads(2)
    both = threading.Barrier(3)
    begun: list[int] = []
    go_on = threading.Event()

    def work(i: int) -> int:
        begun.append(i)
        if i < 2:
            both.wait(TIMEOUT_S)  # neither would get further alone
            go_on.wait(TIMEOUT_S)
        return i

    tasks = [asyncio.ensure_future(threads.run(partial(work, i))) for i in range(3)]
    await asyncio.to_thread(both.wait, TIMEOUT_S)
    assert sorted(begun) == [0, 1], "the third waits for a thread"
    go_on.set()
    assert await asyncio.gather(*tasks) == [0, 1, 2]
    threads.close()


async def test_the_loop_goes_on_meanwhile() -> None:
    threads, over = CallThreads(1), threading.Event()
    task = asyncio.ensure_future(threads.run(lambda: over.wait(TIMEOUT_S)))
    await asyncio.sleep(0)
    over.set()  # by the loop, which would never come here
    assert await task
    threads.close()


async def test_a_call_has_the_context_of_who_asked() -> None:
    threads = CallThreads(1)

    async def ask(who: str) -> str:
        name.set(who)
        return await threads.run(name.get)

    assert list(await asyncio.gather(ask("a"), ask("b"))) == ["a", "b"]
    assert await threads.run(name.get) == "nobody"
    threads.close()


async def test_errors_come_back() -> None:
    threads = CallThreads(1)

    def fail() -> None:
        raise KeyError("of the method")

    with pytest.raises(KeyError, match="of the method"):
        await threads.run(fail)
    assert await threads.run(lambda: 1) == 1, "the thread goes on"
    threads.close()


async def test_what_is_withdrawn_before_it_is_begun_never_is() -> None:
    threads, over = CallThreads(1), threading.Event()
    begun: list[str] = []
    first = asyncio.ensure_future(threads.run(lambda: over.wait(TIMEOUT_S)))
    second = asyncio.ensure_future(threads.run(lambda: begun.append("second")))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    over.set()
    await first
    await threads.run(lambda: begun.append("third"))
    assert begun == ["third"]
    threads.close()


async def test_closing_waits_for_what_runs() -> None:
    threads, over = CallThreads(1), threading.Event()
    begun, done = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        over.wait(TIMEOUT_S)
        done.set()

    task = asyncio.ensure_future(threads.run(work))
    await asyncio.to_thread(begun.wait, TIMEOUT_S)
    closing = asyncio.ensure_future(asyncio.to_thread(threads.close))
    await asyncio.sleep(0.01)
    assert not closing.done()
    over.set()
    await closing
    assert done.is_set()
    await task
