"""Columns of documents as Arrow tables and Parquet files, and back.

Arrays of one shape are fixed-size lists, shared and not copied where Arrow can. Tags, scores,
chunks and matches are JSON text, so that an int stays an int in every row. Needs the extra `arrow`.
Knows nothing of arrays of documents.
"""

import contextlib
from typing import Any

import numpy as np

from dure.deps import require
from dure.document import dicts, plain, tensors
from dure.document.column import Column, stack
from dure.document.document import ARRAYS, NESTED, TEXTS, Document
from dure.document.files import replacing
from dure.document.headers import PathLike, add_tags, fields_of
from dure.errors import ValidationError


def to_table(columns: dict[str, Column]) -> Any:
    """Return a `pyarrow.Table` with a column for each of these.

    Raises:
        ValidationError: What Arrow cannot hold: lone surrogates, arrays of several dimensions that
            differ in shape, complex numbers, tags that are not plain.
    """
    pa = require("pyarrow", "arrow")
    arrays: dict[str, Any] = {}
    for name, column in columns.items():
        try:
            arrays[name] = _to_arrow(pa, name, column)
        except (pa.ArrowException, UnicodeError, TypeError) as error:
            raise ValidationError(f"{name} does not fit into an Arrow table: {error}") from error
    return pa.table({name: array for name, array in arrays.items() if array is not None})


def _to_arrow(pa: Any, name: str, column: Column) -> Any:
    if name in ARRAYS:
        return _numbers_to_arrow(pa, name, column)
    if name == "blob":
        return pa.array(column, pa.binary())
    if name in TEXTS:
        return pa.array(column, pa.string())
    return pa.array([_to_json(name, value) for value in column], pa.string())


def _to_json(name: str, value: Any) -> str | None:
    if not value:
        return None
    if name in NESTED:
        value = [document.to_dict() for document in value]
    else:
        dicts.check(value, name, name)
    return plain.to_json(value, name)


def _numbers_to_arrow(pa: Any, name: str, column: Column) -> Any:
    if not isinstance(column, list):
        array = tensors.portable(column, name)
        if array.size or not len(array):
            return _fixed(pa, array, None)
        column = list(array)
    rows = [None if value is None else tensors.portable(value, name) for value in column]
    given = [row for row in rows if row is not None]
    if not given:
        return None
    shape, dtype = given[0].shape, given[0].dtype
    if any(row.dtype != dtype for row in given):
        raise ValidationError(f"{name}: arrays of several types do not fit into one column")
    if given[0].size and all(row.shape == shape for row in given):
        missing = np.array([row is None for row in rows])
        array = np.zeros((len(rows), *shape), dtype)
        array[~missing] = given
        return _fixed(pa, array, missing)
    if any(row.ndim != 1 for row in given):
        raise ValidationError(f"{name}: arrays that differ in shape do not fit into one column")
    return pa.array(rows, pa.list_(pa.from_numpy_dtype(dtype)))


def _fixed(pa: Any, array: np.ndarray, missing: np.ndarray | None) -> Any:
    """Return lists of fixed sizes, nested as deep as the array has axes; missing rows are null."""
    sizes = array.shape[1:]
    if not sizes:
        return pa.array(array, mask=missing)
    values = pa.array(array.reshape(-1))
    for size in reversed(sizes[1:]):
        values = pa.FixedSizeListArray.from_arrays(values, size)
    mask = None if missing is None else pa.array(missing)
    return pa.FixedSizeListArray.from_arrays(values, sizes[0], mask=mask)


def write_parquet(path: PathLike, table: Any) -> None:
    """Write a table as a Parquet file. The file appears when it is complete."""
    parquet = require("pyarrow.parquet", "arrow")
    with replacing(path) as file:
        parquet.write_table(table, file)


def read_parquet(path: PathLike) -> Any:
    """Return the table in a Parquet file.

    Raises:
        ValidationError: The file is no Parquet file.
    """
    pa, parquet = require("pyarrow", "arrow"), require("pyarrow.parquet", "arrow")
    try:
        with parquet.ParquetFile(path) as file:
            return file.read()
    except pa.ArrowInvalid as error:
        raise ValidationError(f"{path} is no Parquet file: {error}") from error


def from_table(table: Any, text: str | None) -> tuple[int, dict[str, Column]]:
    """Return the number of rows of a `pyarrow.Table`, and its columns as those of documents.

    Columns that are no field become tags. Arrays are views of the table's memory where they can be.

    Args:
        table: A table.
        text: Column that holds the text; None if there is none.

    Raises:
        ValidationError: No such column, or values that do not fit their field.
    """
    names = table.column_names
    columns: dict[str, Column] = {}
    others: dict[str, list[Any]] = {}
    for i, (name, field) in enumerate(zip(names, fields_of("table", names, text), strict=True)):
        if field is None:
            others[name] = table.column(i).to_pylist()
            plain.check(others[name], f"column {name!r}")
        else:
            columns[field] = _from_arrow(field, table.column(i), f"column {name!r}")
    add_tags(columns, others, table.num_rows)
    return table.num_rows, columns


def _from_arrow(field: str, column: Any, at: str) -> Column:
    if field in ARRAYS:
        return _numbers_from_arrow(column, at)
    values: list[Any] = column.to_pylist()
    kind = str if field in TEXTS else bytes if field == "blob" else None
    for i, value in enumerate(values):
        if value is None:
            continue
        if kind is None:
            values[i] = _from_json(field, value, f"{at}, row {i}")
        elif not isinstance(value, kind):
            raise ValidationError(f"{at}, row {i}: {value!r:.60} is no {kind.__name__}")
    return values


def _from_json(field: str, value: Any, at: str) -> Any:
    if isinstance(value, str):
        value = plain.from_json(value, at)
    if field == "scores" and isinstance(value, dict):  # a struct has a place for every name
        value = {name: score for name, score in value.items() if score is not None}
    return getattr(Document.from_dict({field: value}, at=at), field)


def _numbers_from_arrow(column: Any, at: str) -> Column:
    types = require("pyarrow", "arrow").types
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    present = array.is_valid().to_numpy(zero_copy_only=False)
    if types.is_list(array.type) or types.is_large_list(array.type):
        lengths = require("pyarrow.compute", "arrow").list_value_length(array).drop_null()
        ends = np.cumsum(lengths.to_numpy())
        # Lists may differ in length; from other tools they often do not, and are one array again.
        given: Column = stack(np.split(_flat(array.flatten(), at), ends[:-1])) if len(ends) else []
    else:
        sizes = []
        while types.is_fixed_size_list(array.type):
            sizes.append(array.type.list_size)
            array = array.flatten()
        given = _flat(array if sizes else array.drop_null(), at).reshape(-1, *sizes)
    if present.all() and isinstance(given, np.ndarray):
        return given
    rows: list[Any] = [None] * len(present)
    for row, value in zip(np.flatnonzero(present).tolist(), given, strict=True):
        rows[row] = value
    return rows


def _flat(array: Any, at: str) -> np.ndarray:
    if not array.null_count:
        with contextlib.suppress(NotImplementedError):
            numbers: np.ndarray = array.to_numpy(zero_copy_only=False)
            if numbers.dtype.kind in "biuf":
                return numbers
    raise ValidationError(f"{at} must hold numbers or lists of them, none missing: {array.type}")
