import io

import numpy as np
import pytest

from dure.bench.traces import looks, traces
from dure.device.context import Context, cpu
from tests.unit.bench.clocks import TickingClock
from tests.unit.bench.conftest import LEAST


@pytest.mark.parametrize(("number", "expected"), [(1000, [1, 10, 100, 1000]), (100, [1, 10, 100]), (1, [1])])
def test_looks_become_fewer(number: int, expected: list[int]) -> None:
    assert looks(number) == expected


def test_moves_become_fewer_and_bytes_stay(simulated: Context) -> None:
    found = traces(simulated, 20, TickingClock(), LEAST, io.StringIO())
    assert [(one.every, one.moved.num_moves, one.moved.num_bytes) for one in found] == [
        (1, 20, 80),
        (10, 2, 80),
        (20, 1, 80),
    ]
    assert [one.slower.median for one in found] == [1.0, 1.0, 1.0]


def test_what_is_looked_at_is_really_printed() -> None:
    sink = io.StringIO()
    traces(cpu(), 4, TickingClock(), LEAST, sink)
    text = sink.getvalue()
    each, once = text.split("\n")[:4], text.partition("[")[2].partition("]")[0]
    np.testing.assert_allclose([float(value) for value in each], np.fromstring(once, sep=" "), rtol=1e-3)
