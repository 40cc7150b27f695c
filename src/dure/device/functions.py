"""What is computed with arrays: each function is one call of PyTorch or numpy behind one check.

Knows which arguments must live together; results live where the arguments do. Does not make arrays
out of anything else than arrays.
"""

from collections.abc import Callable, Sequence
from typing import Any

from dure.device.array import NDArray
from dure.device.library import places
from dure.device.operators import operand, together
from dure.errors import ValidationError


def dot(left: NDArray, right: NDArray, *, transpose_a: bool = False, transpose_b: bool = False) -> NDArray:
    """Multiply along the last axis of `left` and the first of `right`: matrices, vectors and so on.

    Raises:
        DeviceMismatch: They live in different contexts.
        ValidationError: Their shapes do not go together.
    """
    _only_arrays("dot", (left, right))
    place = together("dot(x, y)", (left, right))
    a, b = (left.T if transpose_a else left), (right.T if transpose_b else right)
    name = "matmul" if a.ndim in (1, 2) and b.ndim in (1, 2) else "tensordot"
    rest = (1,) if name == "tensordot" else ()
    return NDArray(place.apply(place.function(name), a.value, b.value, *rest), place)


def concat(*arrays: Any, dim: int = 1) -> NDArray:
    """Join arrays along an axis that they have; by default the second, as in MXNet.

    Raises:
        DeviceMismatch: They live in different contexts.
        ValidationError: Their shapes do not go together.
    """
    return _joined("concat", arrays, dim)


def stack(*arrays: Any, axis: int = 0) -> NDArray:
    """Join arrays of one shape along a new axis; raises as `concat`."""
    return _joined("stack", arrays, axis)


def where(condition: NDArray, x: Any, y: Any) -> NDArray:
    """Take elements of `x` where `condition` holds, and of `y` elsewhere; both may be numbers.

    Raises:
        DeviceMismatch: They live in different contexts.
    """
    chosen = [_value(condition, part, "where") for part in (x, y)]
    place = condition.place
    truths = place.cast(condition.value, "bool")
    return NDArray(place.apply(place.function("where"), truths, *chosen), place)


def clip(array: NDArray, a_min: float, a_max: float) -> NDArray:
    """Bring every element into the range from `a_min` to `a_max`."""
    function = array.place.function("clip")
    return NDArray(array.place.apply(function, array.value, a_min, a_max), array.place)


def maximum(left: NDArray, right: Any) -> NDArray:
    """Take the larger of each pair of elements; raises as `where`."""
    return _paired("maximum", left, right)


def minimum(left: NDArray, right: Any) -> NDArray:
    """Take the smaller of each pair of elements; raises as `where`."""
    return _paired("minimum", left, right)


def softmax(array: NDArray, axis: int = -1) -> NDArray:
    """Turn scores into shares that add up to 1 along an axis."""
    return NDArray(array.place.apply(array.place.function("softmax"), array.value, axis), array.place)


def log_softmax(array: NDArray, axis: int = -1) -> NDArray:
    """Return the logarithm of `softmax`, computed without losing small shares."""
    function = array.place.function("log_softmax")
    return NDArray(array.place.apply(function, array.value, axis), array.place)


def expand_dims(array: NDArray, axis: int) -> NDArray:
    """Give an array one more axis, of length 1; shares the memory."""
    rank = array.ndim + 1
    if not -rank <= axis < rank:
        raise IndexError(f"axis {axis} is out of range for an array with {rank} axes")
    shape = list(array.shape)
    shape.insert(axis % rank, 1)
    return array.reshape(shape)


def squeeze(array: NDArray) -> NDArray:
    """Take away the axes of length 1; shares the memory."""
    return array.reshape(tuple(size for size in array.shape if size != 1))


def _elementwise(name: str, meaning: str) -> Callable[[NDArray], NDArray]:
    def compute(array: NDArray) -> NDArray:
        return NDArray(array.place.apply(array.place.function(name), array.value), array.place)

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = f"Return {meaning} of every element."
    return compute


abs = _elementwise("abs", "the size without the sign")  # noqa: A001  (numpy's and MXNet's names)
ceil = _elementwise("ceil", "the next whole number")
cos = _elementwise("cos", "the cosine")
exp = _elementwise("exp", "the exponential")
floor = _elementwise("floor", "the whole number before")
log = _elementwise("log", "the natural logarithm")
relu = _elementwise("relu", "the positive part")
round = _elementwise("round", "the nearest whole number")  # noqa: A001
sigmoid = _elementwise("sigmoid", "1 / (1 + exp(-x))")
sign = _elementwise("sign", "the sign: -1, 0 or 1")
sin = _elementwise("sin", "the sine")
sqrt = _elementwise("sqrt", "the square root")
softplus = _elementwise("softplus", "log(1 + exp(x))")
square = _elementwise("square", "the square")
tanh = _elementwise("tanh", "the hyperbolic tangent")


def _reduction(name: str) -> Callable[..., NDArray]:
    def compute(array: NDArray, axis: Any = None, *, keepdims: bool = False) -> NDArray:
        result: NDArray = getattr(array, name)(axis, keepdims=keepdims)
        return result

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = getattr(NDArray, name).__doc__
    return compute


argmax = _reduction("argmax")
argmin = _reduction("argmin")
max = _reduction("max")  # noqa: A001
mean = _reduction("mean")
min = _reduction("min")  # noqa: A001
norm = _reduction("norm")
sum = _reduction("sum")  # noqa: A001


def waitall() -> None:
    """Wait until every device has done all it was asked to do."""
    for place in places():
        place.settle()


def _joined(name: str, arrays: Sequence[Any], axis: int) -> NDArray:
    parts = list(arrays[0]) if len(arrays) == 1 and isinstance(arrays[0], list | tuple) else arrays
    _only_arrays(name, parts)
    place = together(f"{name}(…)", parts)
    return NDArray(place.apply(place.function(name), [part.value for part in parts], axis), place)


def _paired(name: str, left: NDArray, right: Any) -> NDArray:
    place = left.place
    value = _value(left, right, name)
    if not hasattr(value, "shape"):
        value = place.create("full", (), value, dtype=place.dtype_name(left.value))
    return NDArray(place.apply(place.function(name), left.value, value), place)


def _value(array: NDArray, other: Any, name: str) -> Any:
    _only_arrays(name, [array])
    value = operand(array, other, f"{name}(x, y)")
    if value is NotImplemented:
        raise ValidationError(f"{name}: an array or a number is needed, not {other!r:.80}.")
    return value


def _only_arrays(name: str, parts: Sequence[Any]) -> None:
    other = next((part for part in parts if not isinstance(part, NDArray)), None)
    if not parts or other is not None:
        raise ValidationError(f"{name}: arrays are needed, not {other!r:.80}.")
