"""What is behind an array's operators: operands share a place, or nothing is done.

Works on anything with a `value` and a `place` that is made from the two; `dure.device.array` gives
the operators their names.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from dure.device.library import adopted
from dure.device.place import RAISED, Place
from dure.errors import DeviceMismatch

_NUMBERS = (float, int, complex, np.number, np.bool)


class Placed(Protocol):
    """A value of an array library, and where it lives."""

    value: Any
    place: Place

    def __init__(self, value: Any, place: Place) -> None: ...


def binary(function: Callable[..., Any], sign: str, *, swapped: bool = False) -> Callable[[Any, Any], Any]:
    """Make the method behind an operator.

    Args:
        function: Computes on two values of the library.
        sign: As the user writes it.
        swapped: The array is the right operand (`__radd__`).
    """
    doing = f"y {sign} x" if swapped else f"x {sign} y"
    new = object.__new__

    def operate(array: Any, other: Any) -> Any:
        place = array.place
        kind = type(other)
        if kind is type(array):
            if other.place is not place:
                raise mismatch(doing, (array, other))
            other = other.value
        elif kind is not float and kind is not int:
            other = operand(array, other, doing)
            if other is NotImplemented:
                return NotImplemented
        left, right = (other, array.value) if swapped else (array.value, other)
        if not place.direct:
            return type(array)(place.apply(function, left, right), place)
        # What `apply` and the constructor do, without their frames: half the cost of an operator.
        try:
            value = function(left, right)
        except RAISED as error:
            raise place.explained(error, doing, (left, right)) from error
        result = new(type(array))
        result.value = value
        result.place = place
        return result

    return operate


def inplace(function: Callable[..., Any], sign: str) -> Callable[[Any, Any], Any]:
    """Make the method behind an operator that writes into its left operand, as `binary` does."""

    def operate(array: Any, other: Any) -> Any:
        value = operand(array, other, f"x {sign} y")
        if value is not NotImplemented:
            array.place.check()
            array.place.apply(function, array.value, value)
        return value if value is NotImplemented else array

    return operate


def unary(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """Make the method behind an operator with one operand."""

    def operate(array: Any) -> Any:
        return type(array)(array.place.apply(function, array.value), array.place)

    return operate


def operand(array: Placed, other: Any, doing: str) -> Any:
    """Return what `other` is to the library of `array`, or `NotImplemented` if it is no operand.

    Raises:
        DeviceMismatch: It is an array that lives elsewhere.
    """
    if isinstance(other, _NUMBERS):
        return other.item() if isinstance(other, np.generic) else other
    if isinstance(other, type(array)):
        if other.place is not array.place:
            raise mismatch(doing, (array, other))
        return other.value
    found = adopted(other)
    if found is None:
        return NotImplemented
    place, value = found
    if place is not array.place:
        call = f"nd.array(y, ctx={array.place.context})"
        raise mismatch(doing, (array, type(array)(value, place)), call)
    return value


def together(doing: str, arrays: Sequence[Placed]) -> Place:
    """Return the place that all arrays share.

    Raises:
        DeviceMismatch: They do not share one.
    """
    place = arrays[0].place
    if any(array.place is not place for array in arrays):
        raise mismatch(doing, arrays)
    return place


def mismatch(doing: str, arrays: Sequence[Placed], call: str = "") -> DeviceMismatch:
    """Return the error for arrays that do not live together: who is where, and what to call.

    Args:
        doing: What was asked for, e.g. `x + y`.
        arrays: The operands; the first one's place is the one to move to.
        call: The call that helps, if it is not `as_in_context`.

    Raises:
        DeviceLost: One of them lives on a device that is lost, which is the greater trouble.
    """
    for array in arrays:
        array.place.check()
    first = arrays[0].place
    other = next(array.place for array in arrays if array.place is not first)
    if other.context == first.context:
        return DeviceMismatch(
            f"{doing}: one array is held by {first.library}, another by {other.library};"
            " DURE_ARRAY_LIBRARY changed in between."
        )
    names = "xy" if len(arrays) == 2 else [f"number {n}" for n in range(1, len(arrays) + 1)]
    told = [f"{name} is in {a.place.context}" for name, a in zip(names, arrays, strict=True)]
    call = call or f"y.as_in_context({first.context})"
    return DeviceMismatch(f"{doing}: {', '.join(told)}. Nothing moves by itself; bring them together: {call}")
