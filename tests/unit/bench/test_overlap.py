import pytest

from dure.bench.overlap import overlap, pairs
from dure.device.context import Context, cpu, gpu
from dure.device.simulated import simulated_gpus
from tests.unit.bench.clocks import TickingClock
from tests.unit.bench.conftest import LEAST


@pytest.mark.parametrize(
    ("contexts", "expected"),
    [
        ([cpu()], [(cpu(), cpu())]),
        ([cpu(), gpu(0)], [(gpu(0), gpu(0)), (cpu(), cpu())]),
        ([gpu(0), gpu(1), gpu(2)], [(gpu(0), gpu(1))]),
        ([], []),
    ],
)
def test_pairs(contexts: list[Context], expected: list[tuple[Context, Context]]) -> None:
    assert pairs(contexts) == expected


def test_threads_share_the_cores_and_give_them_back() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    before = torch.get_num_threads()
    found = overlap((cpu(), cpu()), 8, TickingClock(), LEAST)
    assert found.where == f"two threads of cpu(0), {max(1, before // 2)} of {before} cores each"
    assert found.speedup.median == 1.0
    assert torch.get_num_threads() == before


def test_two_devices_are_named() -> None:
    with simulated_gpus(2):
        found = overlap((gpu(0), gpu(1)), 8, TickingClock(), LEAST)
    assert found.where.startswith("gpu(0) and gpu(1), two threads")
