"""What only a real GPU can show: its memory runs out, and a fault loses it for the process."""

import subprocess
import sys

import pytest

from dure.device import nd
from dure.device.context import gpu
from dure.device.probe import inventory, require_device
from dure.device.transfer import transfers
from dure.errors import DeviceNotFound, DeviceOutOfMemory
from tests.contract.worlds import refused, why_no_gpu

pytestmark = pytest.mark.skipif(bool(why_no_gpu()), reason=why_no_gpu())

FAULT = """
from dure.device import nd
from dure.device.context import cpu, gpu
from dure.errors import DeviceLost

x = nd.ones(4, gpu())
nd.array([100], gpu(), "int64")
host = nd.ones(1)
uses = [
    lambda: x[nd.from_torch(nd.array([100], dtype="int64").torch().cuda())].asnumpy(),
    lambda: x.asnumpy(),
    lambda: nd.ones(1, gpu()),
    lambda: host.copyto(gpu()),
]
for use in uses:
    try:
        print("no error", use())
    except DeviceLost as error:
        print(error)
print(host + 1)
"""


def test_pytorch_and_the_driver_see_the_same_gpus() -> None:
    import torch

    assert torch.cuda.device_count() == len(inventory().gpus)
    assert torch.cuda.get_device_name(0) == require_device(gpu()).name
    absent = gpu(len(inventory().gpus))
    assert f"{absent} is not on this machine. Present: cpu(0), gpu(0)" in refused(
        lambda: nd.ones(1, absent), DeviceNotFound
    )


def test_memory_runs_out_with_need_and_free() -> None:
    import torch

    free, total = torch.cuda.mem_get_info(0)
    assert f"{4 * total:,} bytes are needed" in refused(lambda: nd.ones(total, gpu()), DeviceOutOfMemory)
    x = nd.zeros(int(free * 0.6) // 4, gpu())
    text = refused(lambda: x + 1, DeviceOutOfMemory)
    assert "gpu(0) is out of memory" in text
    assert f"of {total:,} are free" in text
    refused(lambda: x.copy(), DeviceOutOfMemory)
    x = nd.zeros(1, gpu())
    torch.cuda.empty_cache()
    assert (x + 1).asscalar() == 1


def test_a_move_takes_the_time_that_it_takes() -> None:
    x = nd.random.uniform(shape=(4096, 4096), ctx=gpu())
    with transfers() as t:
        for _ in range(200):
            x = x @ x * 1e-3  # keeps the device busy for much longer than the copy lasts
        x.asnumpy()
    assert t.num_bytes == 4096 * 4096 * 4
    assert t.num_bytes / t.seconds > 0.5e9


def test_a_fault_loses_the_device_for_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", FAULT], capture_output=True, text=True, timeout=300, check=False)
    *lost, _, shown, _ = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert shown == "[2.]"
    assert len(lost) == 4
    assert all(line.startswith("gpu(0) is lost: device-side assert") for line in lost)
