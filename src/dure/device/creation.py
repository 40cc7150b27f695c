"""How arrays come to be: from numbers, a shape, or without a copy from another library's array.

Knows where each is to live and that it must fit; `ctx` is a `Context` or its name, the host where
none is given. Does not know what is computed with them.
"""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from dure.device.array import NDArray, carried, host_numbers
from dure.device.functions import stack
from dure.device.library import adopted, place_of
from dure.device.place import Place, dtype_named
from dure.errors import DeviceMismatch, ValidationError

Shape = int | Sequence[int]
"""Length of each axis; a single number is one axis."""


def array(source: Any, ctx: Any = None, dtype: Any = None) -> NDArray:
    """Make an array out of numbers, lists of them, or any other array; always in new memory.

    Args:
        source: Lists become float32 (as in MXNet); what has a type of elements keeps it.
        ctx: Where to. If not given: where `source` lives, for lists the host.
        dtype: Type of the elements, if it is to be another.

    Raises:
        DeviceNotFound: There is no such device.
        DeviceOutOfMemory: The array does not fit there.
        TransferForbidden: `source` lives elsewhere, inside `no_transfers()`.
        ValidationError: Not numbers.
    """
    place = None if ctx is None else place_of(ctx)
    if isinstance(source, list | tuple) and any(isinstance(part, NDArray) for part in source):
        source = stack(*source)
    found = source if isinstance(source, NDArray) else _adopted(source)
    if found is None:
        return carried(host_numbers(source, dtype), place or place_of())
    if dtype is not None:
        cast = found.astype(dtype)
        if cast is not found and (place or found.place) is found.place:
            return cast
        found = cast
    return found.copyto((place or found.place).context)


def from_numpy(array: "np.ndarray[Any, Any]") -> NDArray:
    """Take a numpy array as it is; shares its memory where a tensor can (not read-only, reversed).

    Raises:
        ValidationError: Not a numpy array of numbers.
    """
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufc":
        raise ValidationError(f"from_numpy: a numpy array of numbers is needed, not {array!r:.80}.")
    return carried(array, place_of())


def from_torch(tensor: Any, ctx: Any = None) -> NDArray:
    """Take a torch tensor as it is, where it is; shares its memory.

    Args:
        tensor: The tensor.
        ctx: Where it is, for those who want to be sure. A simulated GPU is made of host memory:
            there a host tensor is taken as living on the GPU that is named.

    Raises:
        DeviceMismatch: It is elsewhere.
        ValidationError: Not a torch tensor.
    """
    found = None if isinstance(tensor, np.ndarray) else _adopted(tensor)
    if found is None:
        raise ValidationError(f"from_torch: a torch tensor is needed, not {tensor!r:.80}.")
    place = found.place if ctx is None else place_of(ctx)
    if place is found.place:
        return found
    if place.memory is not None and found.context.kind == "cpu":
        return NDArray(found.value, place)
    raise DeviceMismatch(
        f"from_torch: the tensor is in {found.context}, not in {place.context}. To move it call"
        f" nd.from_torch(tensor).as_in_context({place.context})"
    )


def from_dlpack(source: Any) -> NDArray:
    """Take an array of any library that speaks DLPack, where it is; shares its memory.

    Raises:
        ValidationError: It speaks no DLPack, or lives where the library in use cannot reach.
    """
    if isinstance(source, NDArray):
        return NDArray(source.value, source.place)
    found = _adopted(source)
    if found is not None:
        return found
    if not hasattr(source, "__dlpack__"):
        raise ValidationError(f"from_dlpack: {type(source).__name__} has no __dlpack__.")
    place = place_of()
    if place.library == "numpy":
        return NDArray(place.apply(np.from_dlpack, source), place)
    return from_torch(place.apply(place.function("from_dlpack"), source))


def full(shape: Shape, value: float, ctx: Any = None, dtype: Any = "float32") -> NDArray:
    """Make an array of one number.

    Raises:
        DeviceNotFound: There is no such device.
        DeviceOutOfMemory: The array does not fit there; names need and free.
        ValidationError: Not a shape, or not a type of numbers.
    """
    place = place_of(ctx)
    sizes, elements = sized(place, shape, dtype)
    return NDArray(place.create("full", sizes, value, dtype=elements), place)


def ones(shape: Shape, ctx: Any = None, dtype: Any = "float32") -> NDArray:
    """Make an array of ones; raises as `full`."""
    return full(shape, 1, ctx, dtype)


def zeros(shape: Shape, ctx: Any = None, dtype: Any = "float32") -> NDArray:
    """Make an array of zeros; raises as `full`."""
    return full(shape, 0, ctx, dtype)


def ones_like(array: NDArray) -> NDArray:
    """Make an array of ones of the same shape, type and context."""
    return ones(array.shape, array.context, array.dtype)


def zeros_like(array: NDArray) -> NDArray:
    """Make an array of zeros of the same shape, type and context."""
    return zeros(array.shape, array.context, array.dtype)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    ctx: Any = None,
    dtype: Any = "float32",
) -> NDArray:
    """Count from `start` (0 if `stop` is not given) up to and without `stop`; raises as `full`."""
    begin, end = (0, start) if stop is None else (start, stop)
    place = place_of(ctx)
    count = math.ceil((end - begin) / step) if step else 0
    _, elements = sized(place, count if count > 0 else 0, dtype)
    return NDArray(place.create("arange", begin, end, step, dtype=elements), place)


def linspace(start: float, stop: float, num: int, ctx: Any = None, dtype: Any = "float32") -> NDArray:
    """Make `num` numbers at equal distances from `start` to and with `stop`; raises as `full`."""
    place = place_of(ctx)
    sizes, elements = sized(place, num, dtype)
    return NDArray(place.create("linspace", start, stop, *sizes, dtype=elements), place)


def eye(rows: int, columns: int | None = None, ctx: Any = None, dtype: Any = "float32") -> NDArray:
    """Make a matrix with ones on its diagonal; raises as `full`."""
    place = place_of(ctx)
    sizes, elements = sized(place, (rows, rows if columns is None else columns), dtype)
    return NDArray(place.create("eye", *sizes, dtype=elements), place)


def sized(place: Place, shape: Shape, dtype: object) -> tuple[tuple[int, ...], str]:
    """Read a shape and a type, and make sure that such an array fits.

    Raises:
        DeviceOutOfMemory: It does not.
        ValidationError: Not a shape, or not a type of numbers.
    """
    name = dtype_named(dtype)
    try:
        sizes = tuple(map(operator.index, (shape,) if isinstance(shape, int) else shape))
    except TypeError:
        sizes = (-1,)
    if any(size < 0 for size in sizes):
        raise ValidationError(f"shape: whole numbers from 0 are needed, not {shape!r}.")
    item_bytes = 2 if name == "bfloat16" else np.dtype(name).itemsize
    place.prepare(math.prod(sizes) * item_bytes)
    return sizes, name


def _adopted(source: Any) -> NDArray | None:
    found = adopted(source)
    return None if found is None else NDArray(found[1], found[0])
