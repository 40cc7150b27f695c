"""Contexts of a machine that has one simulated GPU, and the least effort that measures anything."""

from collections.abc import Iterator

import pytest

from dure.bench.timing import Effort
from dure.device.context import Context, gpu
from dure.device.simulated import simulated_gpus

LEAST = Effort(
    sample_s=0.0, point_s=0.0, min_samples=2, max_samples=2, sweep_s=60.0, sweep_call_s=10.0, max_bytes=2**14
)


@pytest.fixture
def simulated() -> Iterator[Context]:
    with simulated_gpus(1):
        yield gpu(0)
