import gc
import os
import threading
from itertools import pairwise

import pytest

from dure.device.context import gpu
from dure.device.probe import inventory
from dure.device.simulated import SimulatedDevice, simulated_device, simulated_gpus
from dure.errors import DeviceLost, DeviceOutOfMemory


class Owner:
    """Stands for an array."""


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> SimulatedDevice:
    monkeypatch.setenv("DURE_SIMULATE_GPU_MEMORY", "100")
    return SimulatedDevice(gpu(1))


def test_memory_is_taken_for_as_long_as_its_owner_lives(device: SimulatedDevice) -> None:
    first, second = Owner(), Owner()
    device.hold(first, "a", 60)
    device.hold(second, "b", 40)
    assert (device.used_bytes, device.free_bytes) == (100, 0)
    del first
    gc.collect()
    assert (device.used_bytes, device.free_bytes) == (40, 60)


def test_memory_that_is_shared_counts_once_until_its_last_owner_goes(
    device: SimulatedDevice,
) -> None:
    owner, view = Owner(), Owner()
    device.hold(owner, "a", 60)
    device.hold(view, "a", 60)
    assert device.used_bytes == 60
    del owner
    gc.collect()
    assert device.used_bytes == 60
    del view
    gc.collect()
    assert device.used_bytes == 0


def test_too_much_is_refused_with_need_and_free(device: SimulatedDevice) -> None:
    owner = Owner()
    device.hold(owner, "a", 30)
    with pytest.raises(DeviceOutOfMemory) as caught:
        device.require(71)
    assert "gpu(1) is out of memory: 71 bytes are needed, 70 of 100 are free" in str(caught.value)
    with pytest.raises(DeviceOutOfMemory) as again:
        device.hold(owner, "b", 71)
    assert str(again.value) == str(caught.value)
    assert device.used_bytes == 30
    device.require(70)
    device.hold(owner, "b", 70)


def test_a_lost_device_stays_lost(device: SimulatedDevice) -> None:
    owner = Owner()
    device.hold(owner, "a", 30)
    device.lose("an illegal memory access")
    for _ in range(2):
        for use in (
            device.check,
            lambda: device.require(1),
            lambda: device.hold(owner, "b", 1),
        ):
            with pytest.raises(DeviceLost, match=r"gpu\(1\) is lost: an illegal memory access"):
                use()


def test_threads_account_together(device: SimulatedDevice) -> None:
    def work(name: int) -> None:
        for step in range(300):
            device.hold(Owner(), (name, step), 5)  # given back at once

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    gc.collect()
    assert device.used_bytes == 0


def test_a_block_simulates_and_puts_everything_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_SIMULATE_GPUS", "1")
    monkeypatch.delenv("DURE_SIMULATE_GPU_MEMORY", raising=False)
    before = dict(os.environ)
    outer = simulated_device(0)
    owner = Owner()
    with simulated_gpus(3, memory_bytes=500) as devices:
        assert list(devices) == [gpu(0), gpu(1), gpu(2)]
        devices[gpu(2)].hold(owner, "a", 200)
        assert [info.memory_free_bytes for info in inventory().gpus] == [500, 500, 300]
        with simulated_gpus(8) as inner:
            assert len(inventory().gpus) == len(inner) == 8
            assert inner[gpu(2)].used_bytes == 0
        assert len(inventory().gpus) == 3
        assert devices[gpu(2)].used_bytes == 200
    assert dict(os.environ) == before
    assert simulated_device(0) is outer
    with pytest.raises(DeviceLost, match="its simulation has ended"):
        devices[gpu(2)].check()


def test_a_block_of_none_plays_a_machine_without_gpus() -> None:
    with simulated_gpus(0) as devices:
        assert not devices
        assert inventory().gpus == ()


def test_every_device_has_its_own_memory() -> None:
    owners = [Owner(), Owner(), Owner()]
    with simulated_gpus(3, memory_bytes=10) as devices:
        for owner, device in zip(owners, devices.values(), strict=True):
            device.hold(owner, "same", 10)
        assert all(one is not other for one, other in pairwise(devices.values()))
        assert [device.free_bytes for device in devices.values()] == [0, 0, 0]
