"""Columns: one value a row, as a list or as one array, which may live on a device.

Knows what a column is and how values become one. Knows nothing of documents or fields.
"""

from types import NoneType
from typing import Any, TypeAlias, TypeGuard

import numpy as np

from dure.document.device_arrays import DeviceArray, is_device_array, is_device_kind, on_host, stacked
from dure.errors import ValidationError

Column: TypeAlias = list[Any] | np.ndarray | DeviceArray
"""One value a row: a list (None where a row has none), or an array whose first axis is the rows."""


def as_array(values: Any) -> Column:
    """Return numbers, an array or a list of arrays as one array where they have one shape.

    An array that lives on a device stays as it is.

    Raises:
        ValidationError: One number instead of one value a row.
    """
    if isinstance(values, np.ndarray) or hasattr(values, "__array__"):
        array = values if is_device_array(values) else np.asarray(values)
        if not array.ndim:
            raise ValidationError(f"one value a document is needed, not the single value {array}")
        return array
    return stack(list(values))


def stack(values: list[Any]) -> Column:
    """Return `(n, …)` if every value is there with one shape, type and place, else arrays and None."""
    arrays = values
    kinds = set(map(type, values))
    if kinds != {np.ndarray}:
        if any(map(is_device_kind, kinds)):
            column: Column = stacked(values)
            return column
        arrays = [None if value is None else np.asarray(value) for value in values]
    if not arrays or not _uniform(arrays):
        return arrays
    # np.stack takes three times as long for the few dozen rows of a request.
    return np.array(arrays)


def _uniform(arrays: list[np.ndarray | None]) -> TypeGuard[list[np.ndarray]]:
    first = arrays[0]
    if first is None:
        return False
    shape, dtype = first.shape, first.dtype
    for array in arrays:  # noqa: SIM110 - a third faster than all(...), for every request
        if array is None or array.shape != shape or array.dtype != dtype:
            return False
    return True


def host_column(column: Column, at: str) -> list[Any] | np.ndarray:
    """Return a column of arrays as arrays of numpy; what lives on a device is moved, which counts.

    Args:
        column: What is wanted.
        at: What it is, for messages.

    Raises:
        TransferForbidden: It lives on a device, inside `no_transfers()`.
        ValidationError: numpy has no such type of elements.
    """
    if isinstance(column, list):
        return [None if value is None else on_host(value, at) for value in column]
    return on_host(column, at)


def has_gaps(column: Column) -> bool:
    """Return whether some row has no value."""
    # By type: `None in column` would compare arrays with None element by element.
    return isinstance(column, list) and NoneType in set(map(type, column))
