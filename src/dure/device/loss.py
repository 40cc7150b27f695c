"""Whether a failure means that a device is lost, or its memory full, whoever raised it and whatever was made of it."""

from collections.abc import Iterator

from dure.device.torch_adapter import sticky_fault
from dure.errors import DeviceLost, DeviceOutOfMemory

_MAX_CAUSES = 100


def device_loss(error: BaseException) -> str:
    """Return what is lost and why, or nothing, going by an exception and those that it came of."""
    for cause in _causes(error):
        if isinstance(cause, DeviceLost) and "executor" not in vars(cause):  # or else it is another process's loss
            return str(cause)
        if fault := sticky_fault(cause):
            return f"a CUDA device is lost: {fault}"
    return ""


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception, or one that it came of, says that memory did not suffice."""
    return any(_says_full(cause) for cause in _causes(error))


def _says_full(error: BaseException) -> bool:
    # PyTorch's, TensorFlow's and JAX's are told by name: none of the libraries is imported to ask.
    kind = type(error).__name__
    return (
        isinstance(error, DeviceOutOfMemory | MemoryError)
        or kind in ("OutOfMemoryError", "ResourceExhaustedError")
        or (kind == "XlaRuntimeError" and str(error).startswith("RESOURCE_EXHAUSTED"))
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):  # whoever sets __cause__ may have closed a circle
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__
