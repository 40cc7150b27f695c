"""Every combination of array library and kind of device that one suite of tests runs in."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from dure.device.context import Context, cpu, gpu
from dure.device.probe import inventory
from dure.device.simulated import simulated_gpus
from dure.errors import DureError


@dataclass(frozen=True)
class World:
    """Where a test runs: `here` arrays are made, `there` is another context."""

    library: str
    here: Context
    there: Context
    simulated: bool

    @property
    def on_host(self) -> bool:
        return self.here.kind == "cpu"


def why_no_gpu() -> str:
    """Return why no test can run on a real GPU, or nothing."""
    found = inventory()
    if not found.gpus:
        return f"no GPU: {found.missing}"
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed"
    import torch

    return "" if torch.cuda.is_available() else f"PyTorch {torch.__version__} has no CUDA"


NAMES = ["numpy-host", "torch-host", "numpy-simulated", "torch-simulated"]
NAMES += [] if why_no_gpu() else ["torch-gpu"]


@pytest.fixture(params=NAMES)
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    library, _, kind = request.param.partition("-")
    if library == "torch":
        pytest.importorskip("torch", reason="PyTorch is not installed")
    monkeypatch.setenv("DURE_ARRAY_LIBRARY", library)
    if kind == "gpu":
        there = gpu(1) if len(inventory().gpus) > 1 else cpu()
        yield World(library, gpu(0), there, simulated=False)
        return
    here, there = (cpu(), gpu(0)) if kind == "host" else (gpu(0), gpu(1))
    with simulated_gpus(2, memory_bytes=2**30):
        yield World(library, here, there, simulated=True)


def refused(work: Callable[[], Any], kind: type[BaseException] = DureError) -> str:
    """Return what the error says that `work` must raise."""
    with pytest.raises(kind) as caught:
        work()
    return str(caught.value)
