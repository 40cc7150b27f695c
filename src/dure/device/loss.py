"""Whether a failure means that a device is lost for this process, whoever raised it and whatever was made of it."""

from dure.device.torch_adapter import sticky_fault
from dure.errors import DeviceLost

_MAX_CAUSES = 100


def device_loss(error: BaseException) -> str:
    """Return what is lost and why, or nothing, going by an exception and those that it came of."""
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):  # whoever sets __cause__ may have closed a circle
        if cause is None:
            break
        if isinstance(cause, DeviceLost) and "executor" not in vars(cause):  # or else it is another process's loss
            return str(cause)
        if fault := sticky_fault(cause):
            return f"a CUDA device is lost: {fault}"
        cause = cause.__cause__ or cause.__context__
    return ""
