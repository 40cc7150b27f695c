from dataclasses import replace

import pytest

from dure.bench.products import Clocks, Product, ceiling, is_full, sweep, wins_from
from dure.bench.timing import Spread
from dure.device.context import Context, cpu, gpu
from dure.device.simulated import simulated_gpus
from tests.unit.bench.clocks import TickingClock
from tests.unit.bench.conftest import LEAST

CLOCKS = Clocks(device=TickingClock(0.5), host=TickingClock(2.0))


def product(side: int, seconds: float, device: str = "cpu(0)", with_moves: float | None = None) -> Product:
    spread = Spread.of([seconds])
    moving = None if with_moves is None else Spread.of([with_moves])
    return Product(device, "float32", side, spread, spread.per_second(2.0 * side**3), moving)


def test_sides_double_up_to_the_largest_array() -> None:
    found = sweep(cpu(), "float32", CLOCKS, LEAST)
    assert [p.side for p in found] == [16, 32, 64]
    assert [p.flops.median for p in found] == [2 * 16**3 / 0.5, 2 * 32**3 / 0.5, 2 * 64**3 / 0.5]
    assert all(p.with_moves is None and p.moved is None for p in found)


def test_from_the_host_and_back_is_three_moves_on_the_hosts_clock(simulated: Context) -> None:
    found = sweep(simulated, "float32", CLOCKS, LEAST)
    assert len(found) == 3
    for p in found:
        assert p.with_moves is not None
        assert p.moved is not None
        assert (p.seconds.median, p.with_moves.median) == (0.5, 2.0)
        assert (p.moved.num_moves, p.moved.num_bytes) == (3, 3 * 4 * p.side**2)


def test_a_sweep_ends_with_a_product_that_takes_too_long() -> None:
    assert [p.side for p in sweep(cpu(), "float32", CLOCKS, replace(LEAST, sweep_call_s=0.4))] == [16]


def test_a_sweep_stays_within_the_devices_memory() -> None:
    with simulated_gpus(1, memory_bytes=8 * 32 * 32 * 4):
        assert [p.side for p in sweep(gpu(0), "float32", CLOCKS, LEAST)] == [16, 32]


def test_a_device_is_full_when_three_sizes_add_nothing() -> None:
    rates = [10.0, 50.0, 100.0, 101.0, 99.0, 102.0]
    found = [product(16, 2 * 16**3 / rate) for rate in rates]
    assert not is_full(found[:5])
    assert is_full(found)
    assert ceiling(found, "cpu(0)", "float32") == pytest.approx(102.0)
    assert ceiling(found, "gpu(0)", "float32") == 0.0


def test_where_a_gpu_wins() -> None:
    host = [product(16, 1.0), product(32, 2.0), product(64, 8.0), product(128, 64.0)]
    gpus = [
        product(side, seconds, "gpu(0)", moving)
        for side, seconds, moving in [
            (16, 0.9, 9.0),
            (32, 3.0, 9.0),
            (64, 3.0, 9.0),
            (128, 4.0, 10.0),
            (256, 5.0, 11.0),
        ]
    ]
    assert wins_from(host + gpus, "gpu(0)", moves=False) == 64  # one lucky size before does not count
    assert wins_from(host + gpus, "gpu(0)", moves=True) == 128
    assert wins_from(host + gpus[:2], "gpu(0)", moves=True) is None
