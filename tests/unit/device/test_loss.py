import pytest

from dure.device.loss import device_loss
from dure.errors import DeviceLost, DeviceOutOfMemory, from_wire, to_wire


def raised(error: Exception, cause: Exception | None = None, context: Exception | None = None) -> Exception:
    try:
        try:
            if context is not None:
                raise context
        finally:
            raise error from cause
    except Exception as found:  # noqa: BLE001
        return found


ASSERT = "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported"


@pytest.mark.parametrize(
    ("error", "loss"),
    [
        (DeviceLost("gpu(0) is lost: it fell."), "gpu(0) is lost: it fell."),
        (RuntimeError(ASSERT), "a CUDA device is lost: device-side assert"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "illegal memory access"),
        (RuntimeError("CUDA error: unspecified launch failure"), "launch failure"),
        (RuntimeError("CUDA error: the launch timed out and was terminated"), "launch timed out"),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), "uncorrectable ECC"),
    ],
)
def test_a_loss_is_found_whatever_was_made_of_it(error: Exception, loss: str) -> None:
    for found in (
        error,
        raised(ValueError("of the user"), cause=error),
        raised(ValueError("of the user"), context=error),
        raised(KeyError("x"), cause=raised(ValueError("y"), context=error)),
    ):
        assert loss in device_loss(found)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(ASSERT),
        RuntimeError("device-side assert"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: invalid device ordinal"),
        DeviceOutOfMemory("gpu(0) is out of memory"),
    ],
)
def test_other_failures_lose_nothing(error: Exception) -> None:
    assert device_loss(error) == ""


def test_pytorchs_own_class_counts() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    assert "device-side assert" in device_loss(torch.AcceleratorError(ASSERT))


def test_what_another_process_has_lost_is_not_lost_here() -> None:
    told = DeviceLost("encoder failed at /encode: gpu(0) is lost")
    vars(told)["executor"] = "encoder"
    assert device_loss(from_wire(to_wire(told))) == ""


def test_a_circle_of_causes_ends() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert device_loss(one) == ""


def test_notes_do_not_hide_it() -> None:
    lost = DeviceLost("gpu(0) is lost")
    lost.add_note("seen by the user")
    assert device_loss(lost) == "gpu(0) is lost"
