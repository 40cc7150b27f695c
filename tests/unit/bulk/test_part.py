import pytest

from dure.bulk.part import Part, Parts, located, rows_told
from dure.errors import ExecutorError


@pytest.mark.parametrize(
    ("num_rows", "part_rows", "sizes"), [(0, 4, []), (3, 4, [3]), (8, 4, [4, 4]), (9, 4, [4, 4, 1])]
)
def test_parts_are_all_rows_in_order(num_rows: int, part_rows: int, sizes: list[int]) -> None:
    parts = Parts(num_rows, part_rows)
    every = list(parts.every())

    assert [part.num_rows for part in every] == sizes
    assert [row for part in every for row in range(part.start, part.stop)] == list(range(num_rows))
    assert [part.number for part in every] == list(range(parts.num_parts))


def test_names_of_files_sort_as_their_numbers() -> None:
    assert Parts(100, 10).file_name(7) == "part-00007.parquet"
    many = Parts(1_000_000, 1)
    names = [many.file_name(number) for number in (0, 99_999, 100_000, 999_999)]
    assert names == sorted(names)


def test_rows_are_told_with_the_last_one_included() -> None:
    assert str(Part(12, 120_000, 130_000)) == "part 12 (rows 120,000 to 129,999)"
    assert rows_told(5, 6) == "row 5"


def test_an_error_keeps_its_class_and_fields_where_its_place_is_told() -> None:
    error = located(ExecutorError("failed", original_type="KeyError", remote_traceback="…"), "part 3, row 9")

    assert isinstance(error, ExecutorError)
    assert error.args[0] == "part 3, row 9: failed"
    assert (error.original_type, error.remote_traceback) == ("KeyError", "…")
