import pytest

from dure.device.context import cpu
from dure.device.torch_adapter import TorchPlace
from dure.errors import DeviceLost, DeviceOutOfMemory, ValidationError

pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.parametrize(
    ("text", "need"),
    [
        ("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.10 GiB", "20,971,520"),
        ("CUDA out of memory. Tried to allocate 1.50 GiB.", "1,610,612,736"),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000 bytes. Error code 12", "4,000"),
        ("CUDA error: out of memory", "unknown"),
    ],
)
def test_out_of_memory_is_told_with_what_was_needed(text: str, need: str) -> None:
    error = TorchPlace(cpu(), None).explained(RuntimeError(text), "add", ())
    assert isinstance(error, DeviceOutOfMemory)
    assert f"cpu(0) is out of memory: {need} bytes are needed" in str(error)


@pytest.mark.parametrize("fault", ["device-side assert triggered", "an illegal memory access was encountered"])
def test_a_sticky_error_loses_the_device(fault: str) -> None:
    place = TorchPlace(cpu(), None)
    place._on_host = False  # as it is on a CUDA device
    error = place.explained(RuntimeError(f"CUDA error: {fault}\nCUDA kernel errors might be"), "add", ())
    assert isinstance(error, DeviceLost)
    with pytest.raises(DeviceLost, match=fault.removeprefix("an ").split(" trig")[0].split(" was")[0]):
        place.check()


def test_another_failure_is_told_with_the_shapes() -> None:
    import torch

    place = TorchPlace(cpu(), None)
    error = place.explained(RuntimeError("no\nand more"), "add", (torch.ones(2), torch.ones(3, 1), 5))
    assert isinstance(error, ValidationError)
    assert str(error) == "add of (2,) and (3, 1): no"
    place.check()
