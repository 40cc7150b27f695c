from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.document.plain import from_json, to_json
from dure.document.tensors import DTYPES, from_plain, portable, to_plain
from dure.errors import ValidationError
from tests.documents import arrays


@given(array=arrays(), always_float32=st.booleans())
def test_lists_make_the_same_array(array: np.ndarray, always_float32: bool) -> None:
    written = to_json(to_plain(array, "x", always_float32=always_float32), "x")
    found = from_plain(from_json(written, "x"), "x", always_float32=always_float32)
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.shape == array.shape
    assert found.tobytes() == array.astype(found.dtype).tobytes()


@given(arrays())
def test_an_array_travels_little_endian_and_in_one_piece(array: np.ndarray) -> None:
    found = portable(array, "x")
    assert found.flags.c_contiguous
    assert found.dtype.str in DTYPES
    assert np.array_equal(found, array)
    assert found.shape == array.shape


def test_an_array_that_is_fine_is_not_copied() -> None:
    array = np.zeros(3, np.float32)
    assert portable(array, "x") is array


def test_the_usual_arrays_are_plain_lists() -> None:
    assert to_plain(np.array([1.5], np.float32), "x", always_float32=True) == [1.5]
    assert to_plain(np.array([[1, 2]]), "x", always_float32=False) == [[1, 2]]
    assert to_plain([True], "x", always_float32=False) == [True]


@pytest.mark.parametrize(("value", "dtype"), [([1, 2], "int64"), ([1, 2.5], "float32")])
def test_what_lists_of_numbers_are_read_as(value: Any, dtype: str) -> None:
    assert from_plain(value, "x", always_float32=False).dtype == dtype
    assert from_plain(value, "x", always_float32=True).dtype == "float32"


@pytest.mark.parametrize("value", ["a", None, [None], ["a"], [[1], [1, 2]], [{}], [1j], [b"a"], object(), [2**80]])
def test_what_is_no_array_of_numbers_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"^x must be numbers"):
        from_plain(value, "x", always_float32=False)


@pytest.mark.parametrize(
    ("dtype", "shape", "data"),
    [
        ("float32", [2], [1.0]),
        ("float32", [-2], [1.0]),
        ("float32", "a", [1.0]),
        ("float32", [2**70], [1.0]),
        ("float32", [1.5], [1.0]),
        ("O", [1], [1.0]),
        ("complex64", [1], [1.0]),
        (["float32"], [1], [1.0]),
        ("int8", [1], [300]),
        ("int8", [1], [1.5]),
        ("uint8", [1], [-1]),
        ("bool", [1], [2]),
        ("float16", [1], [1e6]),
        ("float32", [1], ["a"]),
    ],
)
def test_a_faulty_description_is_refused(dtype: Any, shape: Any, data: Any) -> None:
    described = {"dtype": dtype, "shape": shape, "data": data}
    with pytest.raises(ValidationError, match=r"^x"):
        from_plain(described, "x", always_float32=False)


def test_a_description_is_complete() -> None:
    with pytest.raises(ValidationError, match="dtype, shape and data"):
        from_plain({"dtype": "float32"}, "x", always_float32=False)


@pytest.mark.parametrize("value", [["a"], [None], np.zeros(1, "M8[s]"), np.zeros(1, "f4,f4")])
def test_only_numbers_travel(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"^x must hold numbers"):
        portable(value, "x")


@pytest.mark.parametrize("value", [["x" * 2**20, *[""] * 2**16], [[1, 2], ["x" * 2**20, *[""] * 2**16]], ["1", 2], "1"])
def test_texts_among_numbers_take_no_memory(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"^x must be numbers, not"):
        from_plain(value, "x", always_float32=True)


@pytest.mark.parametrize(
    "given_as",
    [
        lambda axes: np.zeros((1,) * axes, np.float64),
        lambda axes: np.zeros((1,) * axes, np.float32).tolist(),
        lambda axes: {"dtype": "float64", "shape": [1] * axes, "data": [0.5]},
    ],
    ids=["array", "lists", "described"],
)
def test_an_array_has_32_axes_at_most(given_as: Callable[[int], Any]) -> None:
    assert from_plain(given_as(32), "x", always_float32=False).ndim == 32
    with pytest.raises(ValidationError, match=r"^x: an array has 32 axes at most, not 33$"):
        from_plain(given_as(33), "x", always_float32=False)
