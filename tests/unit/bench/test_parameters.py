from dure.bench.parameters import Access, access, best, ceiling, copies
from dure.bench.products import Clocks
from dure.device.context import Context, cpu
from tests.unit.bench.clocks import TickingClock
from tests.unit.bench.conftest import LEAST

CLOCKS = Clocks(device=TickingClock(0.5), host=TickingClock(2.0))
SIZES = [4, 32, 256, 2048, 16384]


def test_the_host_copies_inside_itself_only() -> None:
    found = copies(cpu(), CLOCKS, LEAST)
    assert [(copy.way, copy.num_bytes) for copy in found] == [("inside", size) for size in SIZES]
    assert ceiling(found, "cpu(0)") == best(found, "cpu(0)", "inside") == 16384 / 0.5


def test_the_ledger_counts_what_is_written_and_read(simulated: Context) -> None:
    found = copies(simulated, CLOCKS, LEAST)
    assert [(copy.way, copy.num_bytes) for copy in found] == [
        (way, size) for size in SIZES for way in ("inside", "write", "read")
    ]
    for copy in found:
        assert copy.moved is not None
        moves = 0 if copy.way == "inside" else 1
        assert (copy.moved.num_moves, copy.moved.num_bytes) == (moves, moves * copy.num_bytes)
    assert best(found, "gpu(0)", "write") == 16384 / 2.0


def test_reading_value_by_value_is_a_move_each(simulated: Context) -> None:
    read, write = access(simulated, 7, CLOCKS, LEAST)
    assert moves(read) == (7, 28, 1, 28)
    assert moves(write) == (0, 0, 1, 28)  # a number goes along with the call


def test_on_the_host_nothing_moves() -> None:
    for found in access(cpu(), 7, CLOCKS, LEAST):
        assert moves(found) == (0, 0, 0, 0)


def moves(found: Access) -> tuple[int, int, int, int]:
    each, once = found.moved_one_by_one, found.moved_at_once
    return each.num_moves, each.num_bytes, once.num_moves, once.num_bytes
