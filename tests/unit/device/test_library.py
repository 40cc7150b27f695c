import threading

import numpy as np
import pytest

from dure.device.context import cpu, gpu
from dure.device.library import library, place_of, torch_device
from dure.device.place import dtype_named
from dure.device.simulated import simulated_gpus
from dure.errors import DeviceNotFound, ValidationError


def test_torch_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    monkeypatch.delenv("DURE_ARRAY_LIBRARY", raising=False)
    assert library() == "torch"
    monkeypatch.setenv("DURE_ARRAY_LIBRARY", "numpy")
    assert library() == "numpy"


def test_there_is_one_place_per_context_and_library() -> None:
    with simulated_gpus(2):
        assert place_of(gpu(1), "numpy") is place_of("cuda:1", "numpy")
        assert place_of(gpu(1), "numpy") is not place_of(gpu(0), "numpy")
        assert place_of(None, "numpy") is place_of(cpu(), "numpy")
        inside = place_of(gpu(0), "numpy")
    with simulated_gpus(2):
        assert place_of(gpu(0), "numpy") is not inside
        assert place_of(gpu(0), "numpy") is place_of(gpu(0), "numpy")


def test_threads_that_ask_together_get_one_place() -> None:
    start = threading.Barrier(8)
    found: list[object] = []

    def ask() -> None:
        start.wait(10)
        found.append(place_of(gpu(0), "numpy"))

    with simulated_gpus(1):
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert len(found) == 8
    assert len({id(place) for place in found}) == 1


def test_pytorch_is_told_the_host_for_a_simulated_gpu() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    assert torch_device("cpu") == "cpu"
    with simulated_gpus(2):
        assert torch_device("cuda:1") == "cpu"
        with pytest.raises(DeviceNotFound, match=r"gpu\(2\) is not on this machine"):
            torch_device(gpu(2))
    with simulated_gpus(0), pytest.raises(DeviceNotFound, match="DURE_SIMULATE_GPUS is 0"):
        torch_device("cuda")


def test_numbers_have_types_of_many_names() -> None:
    assert {dtype_named(name) for name in ("float32", np.float32, np.dtype("f4"), "f4")} == {"float32"}
    assert dtype_named("bfloat16") == "bfloat16"
    for bad in (None, "float33", str, "O", object()):
        with pytest.raises(ValidationError, match="names no type of numbers"):
            dtype_named(bad)
