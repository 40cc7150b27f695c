"""The array: a value of PyTorch or numpy that knows its context, and refuses to move by itself.

Its operators are made in `dure.device.operators`, named functions are in `dure.device.nd`. Knows
that what leaves its context goes through the ledger; computes nothing itself.
"""

import operator
from collections.abc import Callable, Iterator
from typing import Any, final

import numpy as np

from dure.device.context import Context, cpu
from dure.device.library import adopted, place_of
from dure.device.operators import binary, inplace, operand, unary
from dure.device.place import Place, dtype_named
from dure.device.transfer import Move
from dure.errors import ValidationError


@final
class NDArray:
    """An array with a context; made by `nd.array`, `nd.ones` and so on, not by this constructor.

    Args:
        value: A torch tensor, or a numpy array where PyTorch is absent.
        place: Where it lives.
    """

    __slots__ = ("place", "value")

    __array_ufunc__ = None  # numpy leaves `numpy_array + x` to us, and moves nothing in secret

    def __init__(self, value: Any, place: Place) -> None:
        self.value = value
        self.place = place
        if place.memory is not None:
            place.memory.hold(value, *place.storage(value))

    @property
    def context(self) -> Context:
        """Where the array lives."""
        return self.place.context

    ctx = context

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(self.value.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.value.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def dtype(self) -> "np.dtype[Any] | str":
        """Type of the elements; the name alone where numpy has no such type (`'bfloat16'`)."""
        name = self.place.dtype_name(self.value)
        return name if name == "bfloat16" else np.dtype(name)

    @property
    def nbytes(self) -> int:
        """Size of the elements, in bytes; what a move of this array costs."""
        return int(self.value.nbytes)

    @property
    def T(self) -> "NDArray":  # noqa: N802  (everybody's name for it)
        """The array with its axes in reverse order; shares the memory."""
        return self.transpose()

    __add__ = binary(operator.add, "+")
    __radd__ = binary(operator.add, "+", swapped=True)
    __iadd__ = inplace(operator.iadd, "+=")
    __sub__ = binary(operator.sub, "-")
    __rsub__ = binary(operator.sub, "-", swapped=True)
    __isub__ = inplace(operator.isub, "-=")
    __mul__ = binary(operator.mul, "*")
    __rmul__ = binary(operator.mul, "*", swapped=True)
    __imul__ = inplace(operator.imul, "*=")
    __truediv__ = binary(operator.truediv, "/")
    __rtruediv__ = binary(operator.truediv, "/", swapped=True)
    __itruediv__ = inplace(operator.itruediv, "/=")
    __floordiv__ = binary(operator.floordiv, "//")
    __rfloordiv__ = binary(operator.floordiv, "//", swapped=True)
    __mod__ = binary(operator.mod, "%")
    __rmod__ = binary(operator.mod, "%", swapped=True)
    __pow__ = binary(operator.pow, "**")
    __rpow__ = binary(operator.pow, "**", swapped=True)
    __matmul__ = binary(operator.matmul, "@")
    __rmatmul__ = binary(operator.matmul, "@", swapped=True)
    __and__ = binary(operator.and_, "&")
    __or__ = binary(operator.or_, "|")
    __lt__ = binary(operator.lt, "<")
    __le__ = binary(operator.le, "<=")
    __gt__ = binary(operator.gt, ">")
    __ge__ = binary(operator.ge, ">=")
    __eq__ = binary(operator.eq, "==")
    __ne__ = binary(operator.ne, "!=")
    __neg__ = unary(operator.neg)
    __abs__ = unary(operator.abs)
    __invert__ = unary(operator.invert)

    __hash__ = object.__hash__

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a single number has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator["NDArray"]:
        return (self[row] for row in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.asscalar())

    def __float__(self) -> float:
        return float(self.asscalar())

    def __int__(self) -> int:
        return int(self.asscalar())

    def __repr__(self) -> str:
        shown = self.astype("float32") if self.dtype == "bfloat16" else self
        shape = "x".join(map(str, self.shape)) or "scalar"
        return f"\n{shown.asnumpy()}\n<NDArray {shape} @{self.context}>"

    def __getitem__(self, key: Any) -> "NDArray":
        return NDArray(self.place.apply(operator.getitem, self.value, self._index(key)), self.place)

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, list | tuple):
            value = carried(host_numbers(value), self.place)
        found = operand(self, value, "x[…] = y")
        if found is NotImplemented:
            raise ValidationError(f"x[…] = {value!r}: an array takes numbers.")
        self.place.check()
        self.place.apply(operator.setitem, self.value, self._index(key), found)

    def __copy__(self) -> "NDArray":
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> "NDArray":
        return self.copy()

    def __reduce__(self) -> Any:
        return _rebuilt, (self.asnumpy(), self.context)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> "np.ndarray[Any, Any]":
        if copy is False and self.context.kind != "cpu":
            raise ValueError(f"an array in {self.context} cannot be a numpy array without a copy")
        host = self.asnumpy()
        return np.array(host, dtype=dtype, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        self._refuse_if_simulated()
        kind, index = self.value.__dlpack_device__()
        return int(kind), int(index)

    def __dlpack__(self, **options: Any) -> Any:
        self._refuse_if_simulated()
        return self.value.__dlpack__(**options)

    def copyto(self, target: "Context | str | NDArray") -> "NDArray":
        """Copy to a context, always into new memory; or into an array that is there already.

        Raises:
            DeviceNotFound: There is no such device.
            DeviceOutOfMemory: The copy does not fit there.
            TransferForbidden: To another context inside `no_transfers()`.
            ValidationError: The other array has another shape.
        """
        if not isinstance(target, NDArray):
            place = place_of(target)
            place.prepare(self.nbytes)
            return NDArray(self._carry(place), place)
        if target.shape != self.shape:
            raise ValidationError(f"copyto: {self.shape} does not fit into {target.shape}.")
        target.place.check()
        value = self.value if target.place is self.place else self._carry(target.place)
        target.place.apply(operator.setitem, target.value, ..., value)
        return target

    def as_in_context(self, context: Context | str) -> "NDArray":
        """Return this very array if it lives in `context`, or else a copy there.

        Raises:
            As `copyto`.
        """
        if context is self.context:
            return self
        return self if place_of(context) is self.place else self.copyto(context)

    def copy(self) -> "NDArray":
        """Copy into new memory of the same context."""
        return self.copyto(self.context)

    def asnumpy(self) -> "np.ndarray[Any, Any]":
        """Return the elements as a numpy array.

        From the host it shares the memory; from a GPU it is a copy, which counts as a move.

        Raises:
            TransferForbidden: From a GPU inside `no_transfers()`.
            ValidationError: numpy has no such type of elements (`bfloat16`).
        """
        place = self.place
        place.check()
        host: np.ndarray[Any, Any] = self._leave(lambda: place.to_host(self.value))
        return host

    def asscalar(self) -> Any:
        """Return the one element as a Python number; from a GPU, a move.

        Raises:
            ValidationError: There are more elements, or none.
        """
        if self.size != 1:
            raise ValidationError(f"an array shaped {self.shape} is not a single number.")
        place = self.place
        place.check()
        return self._leave(lambda: place.apply(self.value.item))

    def torch(self) -> Any:
        """Return the torch tensor, which shares the memory. On a simulated GPU it is a host tensor.

        Raises:
            MissingDependency: PyTorch is not installed.
        """
        self.place.check()
        return self.place.tensor(self.value)

    def wait_to_read(self) -> None:
        """Wait until the device has finished what this array is the result of."""
        self.place.settle()

    def astype(self, dtype: object) -> "NDArray":
        """Return the elements as another type; this very array if they are of that type."""
        value = self.place.cast(self.value, dtype_named(dtype))
        return self if value is self.value else NDArray(value, self.place)

    def reshape(self, *shape: Any) -> "NDArray":
        """Return the elements in another shape, `x.reshape(2, 3)` or `x.reshape((2, -1))`."""
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        return NDArray(self.place.apply(self.value.reshape, tuple(wanted)), self.place)

    def flatten(self) -> "NDArray":
        """Return one row per element of the first axis: (batch, …) -> (batch, all the rest)."""
        return self.reshape(self.shape[0], -1) if self.ndim else self.reshape(1, 1)

    def transpose(self, *axes: int) -> "NDArray":
        """Return the array with its axes in this order, reversed if none is given."""
        order = axes or tuple(reversed(range(self.ndim)))
        permute = self.place.function("permute" if self.place.library == "torch" else "transpose")
        return NDArray(self.place.apply(permute, self.value, order), self.place)

    def sum(self, axis: Any = None, *, keepdims: bool = False) -> "NDArray":
        """Add up, along an axis or all of them."""
        return reduced("sum", self, axis, keepdims=keepdims)

    def mean(self, axis: Any = None, *, keepdims: bool = False) -> "NDArray":
        """Average, along an axis or all of them; of whole numbers and truths in float32."""
        return reduced("mean", self._floating(), axis, keepdims=keepdims)

    def max(self, axis: Any = None, *, keepdims: bool = False) -> "NDArray":
        """Return the largest element, along an axis or all of them."""
        return reduced("amax", self, axis, keepdims=keepdims)

    def min(self, axis: Any = None, *, keepdims: bool = False) -> "NDArray":
        """Return the smallest element, along an axis or all of them."""
        return reduced("amin", self, axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> "NDArray":
        """Return where the largest element is, along an axis or in the flattened array."""
        return reduced("argmax", self, axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> "NDArray":
        """Return where the smallest element is, along an axis or in the flattened array."""
        return reduced("argmin", self, axis, keepdims=keepdims)

    def norm(self, axis: Any = None, *, keepdims: bool = False) -> "NDArray":
        """Return the Euclidean length, along an axis or of all elements."""
        return reduced("norm", self._floating(), axis, keepdims=keepdims)

    def _floating(self) -> "NDArray":
        kind = getattr(self.dtype, "kind", "f")
        return self if kind in "fc" else self.astype("float32")

    def _carry(self, target: Place) -> Any:
        source = self.place
        source.check()

        def settle() -> None:
            source.settle()
            target.settle()

        move = Move(source.context, target.context, self.nbytes, settle)
        return move.make(lambda: target.receive(self.value, source))

    def _leave(self, copy: Callable[[], Any]) -> Any:
        return Move(self.context, cpu(), self.nbytes, self.place.settle).make(copy)

    def _index(self, key: Any) -> Any:
        if isinstance(key, tuple):
            return tuple(map(self._index, key))
        if isinstance(key, list):
            return carried(np.asarray(key), self.place).value
        if isinstance(key, NDArray) or adopted(key) is not None:
            return operand(self, key, "x[y]")
        return key  # a number, a slice, None, …

    def _refuse_if_simulated(self) -> None:
        self.place.check()
        if self.place.memory is not None:
            raise BufferError(f"{self.context} is simulated, and no other library knows it: use .torch()")


def carried(array: "np.ndarray[Any, Any]", place: Place) -> NDArray:
    """Bring a host array to a place; on the host it shares the memory where it can.

    Raises:
        DeviceOutOfMemory: It does not fit there.
        TransferForbidden: To a GPU inside `no_transfers()`.
    """
    place.prepare(array.nbytes)
    move = Move(cpu(), place.context, array.nbytes, place.settle)
    return NDArray(move.make(lambda: place.from_host(array)), place)


def host_numbers(source: Any, dtype: object = None) -> "np.ndarray[Any, Any]":
    """Make a new host array out of numbers, nested lists of numbers, or another host array.

    Lists are float32 if nothing else is said; what has a type of its own keeps it.

    Raises:
        ValidationError: Not numbers, or rows of unequal length.
    """
    try:
        array = np.array(source)
    except (TypeError, ValueError) as error:
        raise ValidationError(f"nd.array: not an array of numbers: {error}") from error
    if array.dtype.kind not in "biufc":
        raise ValidationError(f"nd.array: numbers are needed, not {source!r:.80}.")
    if dtype is None:
        plain = "complex64" if array.dtype.kind == "c" else "float32"
        dtype = array.dtype if hasattr(source, "dtype") else plain
    return array.astype(dtype_named(dtype), copy=False)


def reduced(name: str, array: NDArray, axis: Any, *, keepdims: bool) -> NDArray:
    """Apply the library's reduction of this name along `axis`, over everything if it is `None`."""
    place = array.place
    function = place.function(name)
    if axis is not None:
        value = place.apply(function, array.value, axis=axis, keepdims=keepdims)
        return NDArray(value, place)
    whole = NDArray(place.apply(function, array.value), place)
    return whole.reshape((1,) * array.ndim) if keepdims else whole


def _rebuilt(host: "np.ndarray[Any, Any]", context: Context) -> NDArray:
    return carried(host, place_of(context))
