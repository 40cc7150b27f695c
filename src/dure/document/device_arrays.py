"""Arrays of documents that know their device: those of `dure.nd`, and torch tensors.

They stay where they are for as long as nobody needs them elsewhere; what moves them goes through the ledger of
`dure.device.transfer`. Knows nothing of documents or fields. Where neither kind is used, nothing is imported.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from dure.errors import ValidationError


class DeviceArray(Protocol):
    """What both kinds have in common with an array of numpy, as far as a column needs it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def ndim(self) -> int:
        """Number of axes."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __getitem__(self, key: Any) -> Any: ...


def is_device_array(value: object) -> bool:
    """Whether a value is an array that knows its device."""
    return is_device_kind(type(value))


def is_device_kind(kind: type) -> bool:
    """Whether values of a type are arrays that know their device."""
    # These two are what requests are made of.
    return kind is not list and kind is not np.ndarray and issubclass(kind, _kinds())


def stacked(values: Sequence[Any]) -> Any:
    """Return `(n, …)`, made where they live, if all are of one kind, place, shape and type; else a list of them."""
    rows = [value if value is None or is_device_array(value) else np.asarray(value) for value in values]
    whole = _united("stack", rows, trailing=0)
    return rows if whole is None else whole


def concatenated(arrays: Sequence[Any]) -> Any:
    """Return arrays of rows one after the other, made where they live, or None if they do not fit together."""
    return _united("concat", arrays, trailing=1)


def on_host(value: Any, at: str) -> np.ndarray:
    """Return an array, or what numpy makes one of, as numpy's; from a device it is moved, which counts.

    Args:
        value: What is wanted.
        at: What it is, for messages.

    Raises:
        TransferForbidden: It lives on a device, inside `no_transfers()`.
        ValidationError: numpy has no such type of elements (`bfloat16`).
    """
    if not is_device_array(value):
        return np.asarray(value)
    try:
        array: np.ndarray = _as_nd(value).asnumpy()
    except ValidationError as error:
        raise ValidationError(f"{at}: {error}") from error
    return array


def in_context(value: Any, context: Any) -> Any:
    """Return an array as one of `dure.nd` in a context; a list of arrays as one where they fit together.

    What is there already stays as it is.

    Args:
        value: An array, or a list of arrays and None.
        context: A `Context` or its name.

    Raises:
        DeviceNotFound: There is no such device.
        DeviceOutOfMemory: It does not fit there.
        TransferForbidden: It lives elsewhere, inside `no_transfers()`.
        ValidationError: The array holds no numbers.
    """
    from dure.device.array import carried
    from dure.device.library import place_of

    place = place_of(context)
    if is_device_array(value):
        return _as_nd(value).as_in_context(place.context)
    if isinstance(value, list):
        return [None if row is None else in_context(row, context) for row in value]
    return carried(np.asarray(value), place)


def _kinds() -> tuple[type, ...]:
    # A module that nobody has imported yet has made no arrays.
    known = (("dure.device.array", "NDArray"), ("torch", "Tensor"))
    found = [getattr(sys.modules.get(module), name, None) for module, name in known]
    return tuple(kind for kind in found if kind is not None)


def _as_nd(value: Any) -> Any:
    from dure.device.array import NDArray
    from dure.device.library import adopted

    found = None if isinstance(value, NDArray) else adopted(value)
    return value if found is None else NDArray(found[1], found[0])


def _united(how: str, arrays: Sequence[Any], *, trailing: int) -> Any:
    """Join arrays that are alike, in the axes from `trailing` on as well; None if they are not."""
    if not all(map(is_device_array, arrays)):
        return None
    from dure.device import functions
    from dure.device.array import NDArray

    owned = [_as_nd(array) for array in arrays]
    alike = {(isinstance(a, NDArray), b.place, b.dtype, b.shape[trailing:]) for a, b in zip(arrays, owned, strict=True)}
    if len(alike) > 1:
        return None
    whole = functions.concat(*owned, dim=0) if how == "concat" else functions.stack(*owned)
    return whole if isinstance(arrays[0], NDArray) else whole.torch()
