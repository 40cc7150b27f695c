"""numpy as an array library: the host, and simulated devices made of host memory.

Used where PyTorch is absent. Its results follow PyTorch where the two differ: a result is float64
only if an operand was. Does not know what an array is to a user.
"""

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from dure.deps import require
from dure.device.context import Context
from dure.device.memory import out_of_memory
from dure.device.place import RAISED, Place
from dure.device.probe import require_device
from dure.device.simulated import SimulatedDevice
from dure.errors import DureError, ValidationError

_Array = np.ndarray[Any, Any]

_GENERATOR = np.random.default_rng()


class NumpyPlace(Place):
    """One context, seen by numpy. Values are arrays.

    Raises:
        DeviceNotFound: There is no such device.
        MissingDependency: It is a real GPU, which numpy cannot use.
    """

    __slots__ = ()

    library = "numpy"

    def __init__(self, context: Context, memory: SimulatedDevice | None) -> None:
        super().__init__(context, memory)
        if context.kind == "gpu" and memory is None:
            require_device(context)
            require("torch", "torch")
            raise ValidationError(f"numpy cannot use {context}; unset DURE_ARRAY_LIBRARY.")

    def apply(self, function: Callable[..., Any], *values: Any, **options: Any) -> Any:
        """Call `function` on arrays; tell failures as dure's own."""
        try:
            with np.errstate(all="ignore"):  # as PyTorch: 1/0 is inf, without a word
                result = np.asarray(function(*values, **options))
        except IndexError:
            raise
        except RAISED as error:
            raise self.explained(error, function.__name__, values) from error
        if result.dtype == np.float64 and not any(_is_double(value) for value in values):
            return result.astype(np.float32)
        return result

    def function(self, name: str) -> Callable[..., Any]:
        """Return numpy's function of this name, or ours where it has none."""
        return _OURS.get(name) or getattr(np, name)

    def create(self, name: str, *arguments: Any, dtype: str) -> Any:
        """Make an array here."""
        make, elements = getattr(np, name), _dtype(dtype)
        try:
            return make(*arguments, dtype=elements)
        except RAISED as error:
            raise self.explained(error, name, ()) from error

    def draw(self, name: str, parameters: tuple[float, float], shape: tuple[int, ...], dtype: str) -> Any:
        """Make an array of random numbers here, from this module's generator."""
        try:
            return getattr(_GENERATOR, name)(*parameters, shape).astype(_dtype(dtype))
        except RAISED as error:
            raise self.explained(error, name, ()) from error

    def from_host(self, array: "_Array") -> Any:
        """Return the array itself, on a simulated device a copy."""
        return array if self.memory is None else array.copy()

    def to_host(self, value: Any) -> "_Array":
        """Return the array itself, from a simulated device a copy."""
        return value if self.memory is None else value.copy()  # type: ignore[no-any-return]

    def receive(self, value: Any, source: Place) -> Any:
        """Return a copy, here, of a value that lives at `source`."""
        return np.array(source.to_host(value))

    def cast(self, value: Any, dtype: str) -> Any:
        """Return an array with other elements; the same one where they are such already."""
        return value.astype(_dtype(dtype), copy=False)

    def dtype_name(self, value: Any) -> str:
        """Return the name of an array's elements: `float32`."""
        return str(value.dtype.name)

    def storage(self, value: Any) -> tuple[Hashable, int]:
        """Return the identity and size in bytes of the memory that an array is a view of."""
        owner = value
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        return owner.__array_interface__["data"][0], owner.nbytes

    def tensor(self, value: Any) -> Any:
        """Return a torch tensor that shares the array's memory."""
        return require("torch", "torch").from_numpy(value)

    def settle(self) -> None:
        """Do nothing: numpy has done what it was asked when it returns."""

    def explained(self, error: Exception, doing: str, values: tuple[Any, ...]) -> DureError:
        """Return what a failure is to a user: memory, or a value that does not fit."""
        if isinstance(error, MemoryError):
            shape, dtype = getattr(error, "shape", ()), getattr(error, "dtype", np.dtype("u1"))
            need = int(np.prod([int(size) for size in shape], dtype=object)) * dtype.itemsize
            return out_of_memory(self.context, need, *self.memory_bytes())
        return super().explained(error, doing, values)


def seed(number: int) -> None:
    """Begin the random numbers again from `number`."""
    global _GENERATOR
    _GENERATOR = np.random.default_rng(number)


def _dtype(name: str) -> "np.dtype[Any]":
    if name == "bfloat16":
        raise ValidationError("dtype: numpy has no bfloat16; PyTorch has.")
    return np.dtype(name)


def _is_double(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_is_double(part) for part in value)
    return isinstance(value, np.ndarray) and value.dtype == np.float64


def _sigmoid(x: _Array) -> _Array:
    return np.asarray(0.5 * (np.tanh(0.5 * x) + 1))


def _relu(x: _Array) -> _Array:
    return np.maximum(x, 0)


def _softplus(x: _Array) -> _Array:
    return np.logaddexp(x, 0)


def _log_softmax(x: _Array, axis: int) -> _Array:
    shifted = x - x.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


def _softmax(x: _Array, axis: int) -> _Array:
    return np.exp(_log_softmax(x, axis))


def _norm(x: _Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> _Array:
    return np.asarray(np.sqrt(np.square(np.abs(x)).sum(axis=axis, keepdims=keepdims)))


def _linear(x: _Array, weight: _Array, bias: _Array | None) -> _Array:
    product = x @ weight.T
    return np.asarray(product if bias is None else product + bias)


_OURS: dict[str, Callable[..., Any]] = {
    "sigmoid": _sigmoid,
    "relu": _relu,
    "softplus": _softplus,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "norm": _norm,
    "linear": _linear,
}
