import asyncio
import contextvars
import copy
import inspect
import pickle
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from dure.device import transfer
from dure.device.context import Context, cpu, gpu
from dure.device.transfer import Move, Moved, Transfers, asked_by, no_transfers, transfers
from dure.errors import TransferForbidden

HERE = __file__


def carry(num_bytes: int = 8, source: Context | None = None, target: Context | None = None) -> str:
    return Move(source or cpu(), target or gpu(), num_bytes).make(lambda: "carried")


def this_line() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_moves_are_added_up_by_route_and_line() -> None:
    with transfers() as t:
        for _ in range(3):
            assert Move(cpu(), gpu(1), 8).make(lambda: "carried") == "carried"
        line = this_line() - 1
        Move(gpu(1), cpu(), 100).make(lambda: None)
    assert [(route.source, route.target) for route in t.routes] == [
        (cpu(), gpu(1)),
        (gpu(1), cpu()),
    ]
    first = next(iter(t.routes))
    assert first.where == f"{HERE}:{line}"
    assert (t.routes[first].num_moves, t.routes[first].num_bytes) == (3, 24)
    assert t.between(gpu(1), cpu()).num_bytes == 100
    assert t.between(gpu(0), cpu()) == Moved()
    assert (t.num_moves, t.num_bytes) == (4, 124)


def test_seconds_are_those_of_the_copy() -> None:
    pause = threading.Event()
    with transfers() as t:
        Move(cpu(), gpu(), 1).make(lambda: pause.wait(0.02))
    assert 0.02 <= t.seconds < 1


def test_devices_are_settled_around_a_timed_copy_only() -> None:
    told: list[str] = []
    move = Move(cpu(), gpu(), 1, settle=lambda: told.append("settle"))
    move.make(lambda: told.append("copy"))
    assert told == ["copy"]
    told.clear()
    with transfers():
        move.make(lambda: told.append("copy"))
    assert told == ["settle", "copy", "settle"]


def test_a_ledger_prints_a_table() -> None:
    with transfers() as t:
        pass
    assert str(t) == "Nothing moved."
    with transfers() as t:
        carry(1_000_000)
        carry(24, gpu(0), cpu())
    head, first, second, total = str(t).splitlines()
    assert head.split() == ["from", "to", "moves", "bytes", "seconds", "where"]
    assert first.split()[:4] == ["cpu(0)", "gpu(0)", "1", "1,000,000"]
    assert first.split()[5].startswith(HERE)
    assert second.split()[:4] == ["gpu(0)", "cpu(0)", "1", "24"]
    assert total.split()[:3] == ["total", "2", "1,000,024"]


def test_what_stays_in_its_context_is_not_a_move() -> None:
    with transfers() as t, no_transfers():
        assert carry(8, gpu(1), gpu(1)) == "carried"
    assert t.num_moves == 0


def test_blocks_nest() -> None:
    with transfers() as outer:
        carry(1)
        with transfers() as inner:
            carry(2)
        carry(4)
    carry(8)
    assert (inner.num_bytes, outer.num_bytes) == (2, 7)


def test_a_failed_copy_is_not_counted() -> None:
    with transfers() as t, pytest.raises(ZeroDivisionError):
        Move(cpu(), gpu(), 8).make(lambda: 1 / 0)
    assert t.num_moves == 0


def test_forbidden_names_the_line_that_would_move_and_does_not_move() -> None:
    carried: list[int] = []
    with no_transfers():
        begun = this_line() - 1
        with pytest.raises(TransferForbidden) as caught:
            Move(gpu(0), cpu(), 4096).make(lambda: carried.append(1))
        line = this_line() - 1
    assert str(caught.value) == (
        f"{HERE}:{line}: 4,096 bytes would move from gpu(0) to cpu(0) inside the no_transfers() of {HERE}:{begun}."
    )
    assert carried == []
    assert carry() == "carried"


def test_counting_inside_a_forbidden_block_does_not_allow() -> None:
    with no_transfers(), transfers() as t, pytest.raises(TransferForbidden):
        carry()
    assert t.num_moves == 0


def test_an_inner_guard_leaves_the_outer_one_standing() -> None:
    with no_transfers():
        with no_transfers():
            pass
        with pytest.raises(TransferForbidden):
            carry()


def in_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)


def test_another_thread_is_neither_counted_nor_forbidden() -> None:
    done: list[str] = []
    with transfers() as t, no_transfers():
        in_thread(lambda: done.append(carry()))
    assert done == ["carried"]
    assert t.num_moves == 0


def test_threads_that_copy_the_context_write_to_one_ledger() -> None:
    with transfers() as t:
        threads = [
            threading.Thread(
                target=contextvars.copy_context().run,
                args=(lambda: [carry(1) for _ in range(500)],),
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert (t.num_moves, t.num_bytes) == (2000, 2000)


async def test_tasks_count_for_themselves() -> None:
    async def work(num_bytes: int) -> int:
        with transfers() as t:
            for _ in range(3):
                carry(num_bytes)
                await asyncio.sleep(0)
        return t.num_bytes

    with transfers() as outer:
        totals = await asyncio.gather(work(1), work(10), asyncio.to_thread(carry, 100))
    assert list(totals) == [3, 30, "carried"]
    assert outer.num_bytes == 133


def test_where_dure_runs_the_program_a_line_of_dure_is_named() -> None:
    inside = str(Path(transfer.__file__).parent.parent / "worker" / "runner.py")
    names: dict[str, object] = {"carry": Move(cpu(), gpu(), 1).make}
    exec(compile("\n\ndef work(): carry(int)", inside, "exec"), names)
    with transfers() as t:
        work = partial(contextvars.copy_context().run, names["work"])  # type: ignore[arg-type]
        in_thread(work)
    assert [route.where for route in t.routes] == [f"{inside}:3"]


def test_who_asks_can_be_said() -> None:
    with transfers() as t:
        with asked_by("the answer"):
            carry()
        carry()
    first, second = t.routes
    assert first.where == "the answer"
    assert second.where.startswith(HERE)
    with no_transfers(), asked_by("the answer"), pytest.raises(TransferForbidden, match=r"^the answer: 8 bytes"):
        carry()


def test_an_event_loop_asks_for_nothing() -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")

    async def work() -> None:
        asyncio.get_running_loop().call_soon(names["carry"], int)
        await asyncio.sleep(0)

    inside = str(Path(transfer.__file__).parent.parent / "worker" / "__main__.py")
    names: dict[str, Any] = {"carry": Move(cpu(), gpu(0), 1).make, "run": uvloop.run, "work": work}
    exec(compile("def main(): run(work())", inside, "exec"), names)
    with transfers() as t:
        in_thread(partial(contextvars.copy_context().run, names["main"]))
    assert [route.where for route in t.routes] == [f"{inside}:1"]


def test_a_copy_of_a_ledger_is_what_it_held() -> None:
    with transfers() as t:
        carry(8)
        copies = [pickle.loads(pickle.dumps(t)), copy.copy(t), Transfers(t.routes)]
        carry(8)
    assert [found.num_bytes for found in copies] == [8, 8, 8]
    assert [str(found).splitlines()[0] for found in copies] == [str(t).splitlines()[0]] * 3
    copies[0].record(next(iter(t.routes)), Moved(1, 1, 0.0))
    assert (copies[0].num_bytes, t.num_bytes) == (9, 16)


def test_a_move_nobody_listens_to_costs_next_to_nothing() -> None:
    move = Move(cpu(), gpu(), 8)
    begin = perf_counter()
    for _ in range(10_000):
        move.make(int)
    assert (perf_counter() - begin) / 10_000 < 10e-6
