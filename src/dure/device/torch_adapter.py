"""PyTorch as an array library: the host, CUDA devices, and simulated devices made of host tensors.

The only file of this package that calls PyTorch. Knows how it tells that memory ran out and that a
device is lost for good; does not know what an array is to a user.
"""

import re
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from dure.deps import require
from dure.device.context import Context
from dure.device.memory import out_of_memory
from dure.device.place import RAISED, Place
from dure.device.probe import require_device
from dure.device.simulated import SimulatedDevice
from dure.errors import DeviceNotFound, DureError, ValidationError

if TYPE_CHECKING:
    import numpy as np

_NO_MEMORY = re.compile(r"tried to allocate ([0-9.]+) ?(bytes|KiB|MiB|GiB|TiB)?", re.IGNORECASE)
_UNITS = {"bytes": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
# After these, CUDA refuses everything else that the process asks for.
_STICKY = re.compile(
    r"illegal memory access|device-side assert|launch failure|launch timed out|misaligned address|illegal instruction"
    r"|uncorrectable (?:ECC|NVLink)|hardware stack error|invalid program counter|global/shared address space",
    re.IGNORECASE,
)


def sticky_fault(error: BaseException) -> str:
    """Return why CUDA refuses all that this process asks for from now on, or nothing if that is not what happened.

    PyTorch raises a RuntimeError (today its subclass AcceleratorError) that tells the fault in its text alone.
    """
    found = _STICKY.search(str(error)) if isinstance(error, RuntimeError) and "CUDA error" in str(error) else None
    return found[0] if found else ""


class TorchPlace(Place):
    """One context, seen by PyTorch. Values are tensors.

    Raises:
        MissingDependency: PyTorch is not installed.
        DeviceNotFound: PyTorch cannot use this device.
    """

    __slots__ = ("_device", "_on_host", "_torch")

    library = "torch"

    def __init__(self, context: Context, memory: SimulatedDevice | None) -> None:
        super().__init__(context, memory)
        self.direct = memory is None
        self._torch = require("torch", "torch")
        self._on_host = context.kind == "cpu" or memory is not None
        self._device = self._torch.device("cpu" if self._on_host else context.torch_name)
        if not self._on_host and context.index >= self._torch.cuda.device_count():
            info = require_device(context)
            raise DeviceNotFound(
                f"{context} ({info.name}) is on this machine, but PyTorch {self._torch.__version__}"
                " cannot use it: install a build of PyTorch for CUDA that fits the driver."
            )

    def apply(self, function: Callable[..., Any], *values: Any, **options: Any) -> Any:
        """Call `function` on tensors; tell failures as dure's own."""
        try:
            return function(*values, **options)
        except IndexError:
            raise
        except RAISED as error:
            raise self.explained(error, function.__name__, values) from error

    def function(self, name: str) -> Callable[..., Any]:
        """Return PyTorch's function of this name."""
        if name in ("relu", "softmax", "log_softmax", "softplus", "linear"):
            found = getattr(self._torch.nn.functional, name)
        elif name == "norm":
            found = self._torch.linalg.vector_norm
        else:
            found = getattr(self._torch, name)
        return found  # type: ignore[no-any-return]

    def create(self, name: str, *arguments: Any, dtype: str) -> Any:
        """Make a tensor here."""
        make = getattr(self._torch, name)
        return self.apply(make, *arguments, dtype=self._dtype(dtype), device=self._device)

    def draw(self, name: str, parameters: tuple[float, float], shape: tuple[int, ...], dtype: str) -> Any:
        """Make a tensor of random numbers here, from PyTorch's own generator of the device."""
        empty = self.create("empty", shape, dtype=dtype)
        fill = self._torch.Tensor.uniform_ if name == "uniform" else self._torch.Tensor.normal_
        return self.apply(fill, empty, *parameters)

    def from_host(self, array: "np.ndarray[Any, Any]") -> Any:
        """Return a host array as a tensor here; on the host it shares the memory where it can."""
        if not array.flags.writeable or any(stride < 0 for stride in array.strides):
            array = array.copy()  # what a tensor cannot be a view of
        tensor = self.apply(self._torch.from_numpy, array)
        return self.apply(tensor.to, self._device, copy=self.context.kind != "cpu")

    def to_host(self, value: Any) -> "np.ndarray[Any, Any]":
        """Return a tensor as a host array; from the host it shares the memory."""
        if value.dtype == self._torch.bfloat16:
            raise ValidationError("numpy has no bfloat16; call astype('float32') first.")
        host = value.detach()
        if self.context.kind != "cpu":
            host = self.apply(host.to, "cpu", copy=True)
        return host.resolve_conj().resolve_neg().numpy()  # type: ignore[no-any-return]

    def receive(self, value: Any, source: Place) -> Any:
        """Return a copy, here, of a value that lives at `source`."""
        if isinstance(source, TorchPlace):
            # The end that is a device is the one that can fail, and that remembers it.
            end = source if self._on_host else self
            return end.apply(value.to, self._device, copy=True)
        return self.from_host(source.to_host(value).copy())

    def cast(self, value: Any, dtype: str) -> Any:
        """Return a tensor with other elements; the same one where they are such already."""
        return self.apply(value.to, self._dtype(dtype))

    def dtype_name(self, value: Any) -> str:
        """Return the name of a tensor's elements: `float32`."""
        return str(value.dtype).removeprefix("torch.")

    def storage(self, value: Any) -> tuple[Hashable, int]:
        """Return the identity and size in bytes of the memory that a tensor is a view of."""
        storage = value.untyped_storage()
        return storage.data_ptr(), storage.nbytes()

    def tensor(self, value: Any) -> Any:
        """Return the tensor itself."""
        return value

    def settle(self) -> None:
        """Wait until a CUDA device has done all it was asked to do."""
        if not self._on_host:
            self.apply(self._torch.cuda.synchronize, self._device)

    def memory_bytes(self) -> tuple[int | None, int | None]:
        """Return how much is free here, and how much there is."""
        if self._on_host:
            return super().memory_bytes()
        free, total = self._torch.cuda.mem_get_info(self._device)
        return int(free), int(total)

    def explained(self, error: Exception, doing: str, values: tuple[Any, ...]) -> DureError:
        """Return what a failure is to a user: no memory, a lost device, or unfit values."""
        text = str(error)
        if "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text:
            asked = _NO_MEMORY.search(text)
            need = int(float(asked[1]) * _UNITS[(asked[2] or "bytes").lower()]) if asked else None
            return out_of_memory(self.context, need, *self.memory_bytes())
        sticky = _STICKY.search(text)
        if sticky and not self._on_host:
            self.lost = sticky[0]
            try:
                self.check()
            except DureError as lost:
                return lost
        return super().explained(error, doing, values)

    def _dtype(self, name: str) -> Any:
        found = getattr(self._torch, name, None)
        if not isinstance(found, self._torch.dtype):
            raise ValidationError(f"dtype: PyTorch has no {name}.")
        return found
