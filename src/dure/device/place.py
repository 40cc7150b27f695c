"""A place: one context as one array library sees it. What the adapters have in common.

Arrays can be combined when their places are the same object, so the check in front of an operator
compares two pointers. Knows how a library's failures are told; does not know what an array is to a
user (`dure.device.array`), nor which library is in use (`dure.device.library`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from dure.device.context import Context
from dure.device.memory import out_of_memory
from dure.device.probe import require_device
from dure.device.simulated import SimulatedDevice
from dure.errors import DeviceLost, DureError, ValidationError

_LARGE_BYTES = 2**28  # from here on it is worth asking the system before taking memory
RAISED = (ArithmeticError, BufferError, MemoryError, RuntimeError, TypeError, ValueError)
"""What array libraries raise for values they do not like; an `IndexError` says enough as it is."""


class Place(ABC):
    """One context, with the functions of one array library for what lives there.

    Args:
        context: Where.
        memory: The simulated device it is, where it is one.
    """

    __slots__ = ("context", "direct", "lost", "memory")  # an operator's way through them is short

    library: ClassVar[str]

    def __init__(self, context: Context, memory: SimulatedDevice | None) -> None:
        self.context = context
        self.memory = memory
        self.lost = ""
        self.direct = False  # the library's results are taken as they are, and nobody counts them

    def __repr__(self) -> str:
        return f"{self.context} ({self.library})"

    @abstractmethod
    def apply(self, function: Callable[..., Any], *values: Any, **options: Any) -> Any:
        """Call `function` of this library on values that live here; tell failures as dure's own."""

    @abstractmethod
    def function(self, name: str) -> Callable[..., Any]:
        """Return the library's function of this name (those of numpy, and `sigmoid`, `relu`, …)."""

    @abstractmethod
    def create(self, name: str, *arguments: Any, dtype: str) -> Any:
        """Make a value here: `full`, `arange`, `eye`, `linspace`, with numpy's arguments."""

    @abstractmethod
    def draw(self, name: str, parameters: tuple[float, float], shape: tuple[int, ...], dtype: str) -> Any:
        """Make a value of random numbers here: `uniform` (low, high) or `normal` (mean, spread)."""

    @abstractmethod
    def from_host(self, array: "np.ndarray[Any, Any]") -> Any:
        """Return a host array as a value here; on the host itself without a copy where possible."""

    @abstractmethod
    def to_host(self, value: Any) -> "np.ndarray[Any, Any]":
        """Return a value as a host array; from the host itself without a copy."""

    @abstractmethod
    def receive(self, value: Any, source: "Place") -> Any:
        """Return a copy, here, of a value that lives at `source`."""

    @abstractmethod
    def cast(self, value: Any, dtype: str) -> Any:
        """Return a value with other elements; the same value where they are such already."""

    @abstractmethod
    def dtype_name(self, value: Any) -> str:
        """Return the name of a value's elements: `float32`."""

    @abstractmethod
    def storage(self, value: Any) -> tuple[Hashable, int]:
        """Return the identity and size in bytes of the memory that a value is a view of."""

    @abstractmethod
    def tensor(self, value: Any) -> Any:
        """Return the value as a torch tensor that shares its memory."""

    @abstractmethod
    def settle(self) -> None:
        """Wait until the device has done all it was asked to do."""

    def check(self) -> None:
        """Do nothing, or say that the device is lost.

        Raises:
            DeviceLost: It is.
        """
        if self.memory is not None:
            self.memory.check()
        if self.lost:
            raise DeviceLost(f"{self.context} is lost: {self.lost}. What it held is gone; start a new process.")

    def prepare(self, num_bytes: int) -> None:
        """Do nothing, or say that an array of this size can never be made here.

        Raises:
            DeviceLost: The device is lost.
            DeviceOutOfMemory: It does not fit; names both sizes.
        """
        self.check()
        if self.memory is not None:
            self.memory.require(num_bytes)
        elif num_bytes >= _LARGE_BYTES:
            free, total = self.memory_bytes()
            if total is not None and num_bytes > total:
                raise out_of_memory(self.context, num_bytes, free, total)

    def memory_bytes(self) -> tuple[int | None, int | None]:
        """Return how much is free here, and how much there is; `None` where nobody tells."""
        info = require_device(self.context)
        return info.memory_free_bytes, info.memory_total_bytes

    def explained(self, error: Exception, doing: str, values: tuple[Any, ...]) -> DureError:
        """Return what a failure of the library is to a user, with the shapes it was given."""
        shapes = " and ".join(str(tuple(v.shape)) for v in values if hasattr(v, "shape"))
        told = str(error).strip().partition("\n")[0]
        of = f" of {shapes}" if shapes else ""
        return ValidationError(f"{doing}{of}: {told}")


def dtype_named(dtype: object) -> str:
    """Return the name of an element type written as `'float32'`, `np.float32` or `torch.float32`.

    Raises:
        ValidationError: Not one of those.
    """
    try:
        return _named(dtype)
    except TypeError:
        raise ValidationError(f"dtype: {dtype!r} names no type of numbers; e.g. 'float32' does.") from None


@lru_cache(maxsize=128)
def _named(dtype: object) -> str:
    if str(dtype).startswith("torch."):
        return str(dtype).removeprefix("torch.")
    if dtype == "bfloat16":
        return "bfloat16"
    found = None if dtype is None else np.dtype(dtype)  # type: ignore[call-overload]
    if found is None or found.kind not in "biufc":
        raise TypeError
    return str(found.name)
