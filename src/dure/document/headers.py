"""What the columns of a file or table hold: fields by name, the text where it is told, else tags.

The one rule for CSV, Arrow and pandas. Knows names only, not how any of these is read.
"""

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

from dure.document.document import FIELDS
from dure.errors import ValidationError
from dure.spec import suggest

PathLike: TypeAlias = str | os.PathLike[str]


def fields_of(what: PathLike, names: Sequence[str], text: str | None) -> list[str | None]:
    """Return for each column of a table the field it holds; None where it becomes a tag.

    Args:
        what: The file or table, for messages.
        names: The columns.
        text: Column that holds the text; None if there is none.

    Raises:
        ValidationError: No column `text`, or two columns for one field.
    """
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ValidationError(f"{what}: there are two columns {twice[0]!r}")
    if text is not None and text not in names:
        raise ValidationError(
            f"{what}: there is no column {text!r} for the text.{suggest(text, names)}"
            f" There are: {', '.join(names)}. If none is the text, say text=None."
        )
    if text not in (None, "text") and "text" in names:
        raise ValidationError(f"{what}: {text!r} was named as the text, but there is a column 'text'")
    return ["text" if name == text else name if name in FIELDS else None for name in names]


def with_tags(tags: dict[str, Any] | None, others: dict[str, Any], at: str) -> dict[str, Any]:
    """Return the tags of a document and, as more of them, its values in columns that are no field.

    Raises:
        ValidationError: A tag of that name is there already.
    """
    if not tags:
        return others
    twice = tags.keys() & others.keys()
    if twice:
        raise ValidationError(f"{at}: the tag {min(twice)!r} is also a column of its own")
    return {**tags, **others}


def add_tags(columns: dict[str, Any], others: dict[str, list[Any]], rows: int) -> None:
    """Add columns that are no field to the column of tags, row by row.

    Raises:
        ValidationError: A row has a tag of that name already.
    """
    if others:
        tags = columns.get("tags") or [None] * rows
        values = zip(*others.values(), strict=True)
        columns["tags"] = [
            with_tags(known, dict(zip(others, row, strict=True)), f"row {i}")
            for i, (known, row) in enumerate(zip(tags, values, strict=True))
        ]
