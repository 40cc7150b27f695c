from collections.abc import Mapping

from dure.device import nd
from dure.device.context import Context, gpu
from dure.testing.devices import SimulatedDevice, gpus

__all__ = ["gpus"]


def test_the_fixture_gives_two_devices(gpus: Mapping[Context, SimulatedDevice]) -> None:
    assert list(gpus) == [gpu(0), gpu(1)]
    x = nd.ones(10, gpu(1))
    assert gpus[gpu(1)].used_bytes == x.nbytes == 40
