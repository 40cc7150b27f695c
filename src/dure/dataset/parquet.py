"""Parquet files, read by pyarrow, which is an extra: rows as named values.

Names of classes that the file's own metadata gives (as Hugging Face's `ClassLabel` does) stand in place of their
numbers. Does not know which values are the text and the label.
"""

import json
from pathlib import Path
from typing import Any

from dure.dataset.records import Record
from dure.deps import require
from dure.errors import ValidationError


def read_parquet(path: Path) -> list[Record]:
    """Return the rows of a Parquet file, numbered from 1 as lines are.

    Raises:
        MissingDependency: pyarrow is not installed.
        ValidationError: The file is not Parquet, or is damaged.
    """
    parquet, arrow = require("pyarrow.parquet", "arrow"), require("pyarrow", "arrow")
    try:
        table = parquet.read_table(path)
    except arrow.ArrowException as error:
        raise ValidationError(f"{path}: cannot be read as Parquet: {error}") from error
    names = _class_names(table.schema.metadata or {})
    rows = table.to_pylist()
    for row in rows:
        row.update({key: _spelt(row.get(key), classes) for key, classes in names.items()})
    return list(enumerate(rows, 1))


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Return the names of classes by column."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    found = {}
    for column, feature in features.items():
        inner = feature.get("feature", feature) if isinstance(feature, dict) else {}
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel":
            found[column] = [str(name) for name in inner.get("names", ())]
    return found


def _spelt(value: Any, classes: list[str]) -> Any:
    if isinstance(value, list):
        return [_spelt(item, classes) for item in value]
    return classes[value] if isinstance(value, int) and 0 <= value < len(classes) else value
