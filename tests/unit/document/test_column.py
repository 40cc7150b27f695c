import numpy as np
import pytest

from dure.document.column import as_array, has_gaps, stack
from dure.errors import ValidationError


def test_values_of_one_shape_and_type_become_one_array() -> None:
    found = stack([np.ones(2, np.float32), np.zeros(2, np.float32)])
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 1], [0, 0]]
    assert stack([[1, 2], (3, 4)]).tolist() == [[1, 2], [3, 4]]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "values",
    [
        [np.zeros(2), np.zeros(3)],
        [np.zeros(2), np.zeros((2, 1))],
        [np.zeros(2), None],
        [None, np.zeros(2)],
        [np.zeros(2, np.float32), np.zeros(2, np.float64)],
        [],
    ],
)
def test_others_stay_a_list(values: list[np.ndarray | None]) -> None:
    found = stack(values)
    assert isinstance(found, list)
    assert [v is None for v in found] == [v is None for v in values]


def test_an_array_is_taken_as_it_is() -> None:
    array = np.zeros((2, 3))
    assert as_array(array) is array
    assert as_array(row for row in array).shape == (2, 3)  # type: ignore[union-attr]


@pytest.mark.parametrize("value", [np.float32(1), np.array(1)])
def test_one_number_is_no_column(value: object) -> None:
    with pytest.raises(ValidationError, match="one value a document"):
        as_array(value)


def test_gaps() -> None:
    assert has_gaps(["a", None])
    assert has_gaps([np.zeros(2), None])
    assert not has_gaps([np.zeros(2), np.zeros(2)])
    assert not has_gaps(np.zeros(2))
    assert not has_gaps([])
