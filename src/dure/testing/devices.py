"""Simulated GPUs as pytest fixtures: `pytest_plugins = ["dure.testing.devices"]`.

For more or fewer of them, or smaller ones, a test opens `simulated_gpus` itself.
"""

from collections.abc import Iterator, Mapping

import pytest

from dure.device.context import Context
from dure.device.simulated import SimulatedDevice, simulated_gpus

__all__ = ["SimulatedDevice", "gpus", "simulated_gpus"]


@pytest.fixture
def gpus() -> Iterator[Mapping[Context, SimulatedDevice]]:
    """Two GPUs made of host memory, `gpu(0)` and `gpu(1)`, for one test and the processes it starts."""
    with simulated_gpus(2) as devices:
        yield devices
