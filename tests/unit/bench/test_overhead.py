from dure.bench.overhead import overheads
from dure.bench.products import Clocks
from dure.device.context import cpu
from tests.unit.bench.clocks import TickingClock
from tests.unit.bench.conftest import LEAST


def test_every_operator_beside_the_bare_one() -> None:
    clock = TickingClock()
    found = overheads(cpu(), 3, Clocks(clock, clock), LEAST)
    assert [(one.operator, one.side) for one in found] == [
        ("x + y", 3),
        ("x * y", 3),
        ("x + 1.0", 3),
        ("x @ y", 3),
        ("x + y", 1),
    ]
    assert {(one.ratio.median, one.added_s) for one in found} == {(1.0, 0.0)}
