"""Arrays of numbers: which types can travel, and arrays as plain lists and back.

Knows numpy. Knows nothing of documents, and nothing of how a column of arrays is sent.
"""

from itertools import chain
from typing import Any

import numpy as np

from dure.document.bounds import MAX_AXES
from dure.document.device_arrays import on_host
from dure.errors import ValidationError

_NAMES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_FLOATS = ("float16", "float32", "float64")

DTYPES = {
    dtype.str: dtype
    for dtype in (np.dtype(name).newbyteorder("<") for name in (*_NAMES, *_FLOATS, "complex64", "complex128"))
}
"""Every type of number that travels, by the name it has on the wire (`<f4`): little-endian."""

_READ_AS = {"b": np.dtype(np.bool_), "i": np.dtype(np.int64), "f": np.dtype(np.float32)}
_FLOAT32 = np.dtype(np.float32)
_NO_NUMBERS = frozenset((str, bytes, bytearray, dict))
_LISTS = frozenset((list, tuple))


def portable(value: Any, at: str) -> np.ndarray:
    """Return an array as it travels: contiguous, little-endian, of a type that every machine knows.

    Args:
        value: An array, or what numpy makes one of.
        at: What it is, for messages.

    Raises:
        TransferForbidden: It lives on a device, inside `no_transfers()`.
        ValidationError: No numbers, or a type of number that exists on some machines only.
    """
    array = value if type(value) is np.ndarray else on_host(value, at)
    _check_axes(array.ndim, at)
    if array.dtype.str in DTYPES and array.flags.c_contiguous:
        return array
    little = array.dtype.newbyteorder("<")
    if little.str not in DTYPES:
        raise ValidationError(f"{at} must hold numbers, not {array.dtype} ({array!r:.60})")
    return np.asarray(array, dtype=little, order="C")


def _check_axes(axes: int, at: str) -> None:
    if axes > MAX_AXES:
        raise ValidationError(f"{at}: an array has {MAX_AXES} axes at most, not {axes}")


def checked_flags(array: np.ndarray, at: str) -> np.ndarray:
    """Return an array made of bytes as they came.

    Raises:
        ValidationError: It is to hold true and false, and has bytes that are neither 1 nor 0.
    """
    if array.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise ValidationError(f"{at}: a byte of bool is 0 or 1")
    return array


def to_plain(value: Any, at: str, *, always_float32: bool) -> Any:
    """Return an array as lists of numbers, if `from_plain` makes the same array of them.

    Any other array becomes `{"dtype": "float64", "shape": [2, 3], "data": [flat list]}`.

    Args:
        value: An array, or what numpy makes one of.
        at: What it is, for messages.
        always_float32: Whether lists are read as float32 whatever is in them (embeddings).

    Raises:
        ValidationError: Not numbers, or complex ones.
    """
    plain = to_plain_arrays(value, at, always_float32=always_float32)
    if isinstance(plain, dict):
        return {**plain, "data": plain["data"].tolist()}
    return plain.tolist()


def to_plain_arrays(value: Any, at: str, *, always_float32: bool) -> np.ndarray | dict[str, Any]:
    """Return the same with arrays where `to_plain` has lists, for writers that can write arrays."""
    array = portable(value, at)
    if array.dtype.kind == "c":
        raise ValidationError(f"{at}: complex numbers cannot be written as text ({array!r:.60})")
    expected = _FLOAT32 if always_float32 else _READ_AS.get(array.dtype.kind)
    if array.dtype == expected and (array.size or (array.ndim == 1 and expected == _FLOAT32)):
        return array
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": array.ravel()}


def from_plain(value: Any, at: str, *, always_float32: bool) -> np.ndarray:
    """Make an array of what `to_plain` wrote, or of any lists of numbers in a regular shape.

    Lists of fractions become float32, of whole numbers int64 (float32 if `always_float32`).

    Raises:
        ValidationError: No numbers, an irregular shape, or numbers that their type cannot hold.
    """
    if isinstance(value, np.ndarray | np.generic):
        return portable(value, at)
    if isinstance(value, dict):
        return _described(value, at)
    _check_no_texts(value, at)
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValidationError(f"{at} must be numbers in a regular shape: {error}") from error
    _check_axes(array.ndim, at)
    if array.dtype.kind not in "biuf":
        raise ValidationError(f"{at} must be numbers, not {value!r:.80}")
    if always_float32 or array.dtype.kind == "f":
        return _as_floats(array, _FLOAT32, at)
    return array


def _check_no_texts(value: Any, at: str) -> None:
    """Refuse texts before numpy makes each of them as long as the longest: of a few megabytes, terabytes."""
    layer = [value]
    while layer:
        kinds = set(map(type, layer))
        if not kinds.isdisjoint(_NO_NUMBERS):
            raise ValidationError(f"{at} must be numbers, not {value!r:.80}")
        if kinds.isdisjoint(_LISTS):
            return
        lists = layer if kinds <= _LISTS else [one for one in layer if type(one) in _LISTS]
        layer = lists[0] if len(lists) == 1 else list(chain.from_iterable(lists))


def _described(value: dict[str, Any], at: str) -> np.ndarray:
    if value.keys() != {"dtype", "shape", "data"}:
        raise ValidationError(f"{at} must have dtype, shape and data, not {', '.join(value)}")
    name, shape, data = value["dtype"], value["shape"], value["data"]
    if name not in (*_NAMES, *_FLOATS):
        raise ValidationError(f"{at}: {name!r} is no type of number, such as float32")
    kinds = {int, float} if name in _FLOATS else {bool} if name == "bool" else {int}
    if not isinstance(data, list) or not set(map(type, data)) <= kinds:
        raise ValidationError(f"{at}: data must be a list of {name}, not {data!r:.60}")
    try:
        flat = np.array(data, np.float64 if name in _FLOATS else name)
        if min(shape, default=0) < 0:
            raise ValueError("an axis of less than nothing")
        flat = flat.reshape(shape)
        _check_axes(flat.ndim, at)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValidationError(f"{at}: {len(data)} numbers, {name}, {shape!r:.60}: {error}") from error
    return _as_floats(flat, np.dtype(name), at) if name in _FLOATS else flat


def _as_floats(array: np.ndarray, dtype: np.dtype[Any], at: str) -> np.ndarray:
    with np.errstate(all="ignore"):
        floats = array.astype(dtype)
    if not np.isfinite(floats).all() and np.isfinite(array).all():
        raise ValidationError(f"{at}: not all numbers fit into {dtype} ({array!r:.60})")
    return floats
