"""Columns of documents as pandas DataFrames, and back.

Tags stay dicts and arrays stay arrays, as Python objects. Needs the extra `pandas`. Knows nothing
of arrays of documents.
"""

import math
from typing import Any

from dure.deps import require
from dure.document import plain
from dure.document.column import Column, host_column, stack
from dure.document.document import ARRAYS, TEXTS, Document
from dure.document.headers import add_tags, fields_of
from dure.document.tensors import from_plain
from dure.errors import ValidationError


def to_frame(columns: dict[str, Column]) -> Any:
    """Return a `pandas.DataFrame` with a column for each of these; no value is None (NaN in texts).

    Raises:
        ValidationError: Text with lone surrogates, which pandas cannot hold.
    """
    pandas = require("pandas", "pandas")
    series = {}
    for name, column in columns.items():
        values = list(host_column(column, name)) if name in ARRAYS else list(column)
        try:
            series[name] = pandas.Series(values, dtype="str" if name in TEXTS else "object")
        except UnicodeError as error:
            raise ValidationError(f"{name} does not fit into a DataFrame: {error}") from error
    return pandas.DataFrame(series)


def from_frame(frame: Any, text: str | None) -> tuple[int, dict[str, Column]]:
    """Return the number of rows of a `pandas.DataFrame`, and its columns as those of documents.

    Columns that are no field become tags; the index is not read.

    Args:
        frame: A DataFrame.
        text: Column that holds the text; None if there is none.

    Raises:
        ValidationError: No such column, a text that is missing (NaN), or values that do not fit
            their field.
    """
    names = list(frame.columns)
    if not all(isinstance(name, str) for name in names):
        raise ValidationError(f"the columns of a DataFrame must have names: {names!r:.80}")
    columns: dict[str, Column] = {}
    others: dict[str, list[Any]] = {}
    for i, (name, field) in enumerate(zip(names, fields_of("DataFrame", names, text), strict=True)):
        values = [None if _is_missing(value) else value for value in frame.iloc[:, i].tolist()]
        at = f"column {name!r}"
        if field is None:
            plain.check(values, at)
            others[name] = values
        else:
            columns[field] = _column(field, values, at)
    add_tags(columns, others, len(frame))
    return len(frame), columns


def _is_missing(value: Any) -> bool:
    # Where there is no value pandas has None, NaN, or its own NA and NaT, of which NA has no truth.
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return type(value) is float and math.isnan(value)


def _column(field: str, values: list[Any], at: str) -> Column:
    for i, value in enumerate(values):
        if value is None:
            if field in ("id", "text"):
                raise ValidationError(f"{at}, row {i}: no value; with fillna('') it would be empty")
        elif field not in ARRAYS:
            values[i] = _value(field, value, f"{at}, row {i}")
        else:
            is_embedding = field == "embedding"
            values[i] = from_plain(value, f"{at}, row {i}", always_float32=is_embedding)
    return stack(values) if field in ARRAYS else values


def _value(field: str, value: Any, at: str) -> Any:
    try:
        return getattr(Document(**{field: value}), field)
    except ValidationError as error:
        raise ValidationError(f"{at}: {error}") from error
