"""Rows of documents in one of two states: an object a row, or columns.

They are columns as they come off the wire, until somebody asks for a single document. So a method
that only uses `docs.texts` and `docs.embeddings` never makes an object per row. Knows nothing of
the wire, nor of what `DocumentArray` offers on top.
"""

from collections import deque
from collections.abc import Callable
from itertools import repeat
from typing import Any, Self

import numpy as np

from dure.document.column import Column, as_array, has_gaps, stack
from dure.document.device_arrays import in_context
from dure.document.document import ARRAYS, DICTS, FIELDS, TEXTS, Document, new_id, unknown_field
from dure.errors import ValidationError

_HOLDS: dict[str, type] = {
    **dict.fromkeys(TEXTS, str),
    **dict.fromkeys(DICTS, dict),
    "blob": bytes,
}
_EMPTY: dict[str, Callable[[], Any]] = {**_HOLDS, "id": new_id}


class Table:
    """The state behind a `DocumentArray`, and access to it by column."""

    __slots__ = ("_columns", "_documents", "_rows")

    _documents: list[Document] | None
    _columns: dict[str, Column]
    _rows: int

    @classmethod
    def from_columns(cls, rows: int, columns: dict[str, Column]) -> Self:
        """Take over columns, each of `rows` values, without making an object per row.

        Args:
            rows: Number of documents.
            columns: Field -> values; an id is made for every row where there is no `id` column.

        Raises:
            ValidationError: A column of another length, or of an unknown field.
        """
        for name, column in columns.items():
            if name not in FIELDS:
                raise unknown_field(name)
            if len(column) != rows:
                raise ValidationError(f"column {name!r} has {len(column)} values, not {rows}")
        self = cls.__new__(cls)
        self._documents, self._columns, self._rows = None, columns, rows
        return self

    @property
    def is_list(self) -> bool:
        """Whether there is an object per document already, rather than columns."""
        return self._documents is not None

    def __len__(self) -> int:
        return self._rows if self._documents is None else len(self._documents)

    def _list(self) -> list[Document]:
        if self._documents is None:
            self._documents = _documents_of(self._rows, self.columns())
            self._columns = {}
        return self._documents

    def columns(self) -> dict[str, Column]:
        """Return the ids and the fields that any document has set, each with one value a document.

        Where a document has not set the field of a column, its value there is None.

        Raises:
            ValidationError: A document has an attribute that is no field, and so would be lost.
        """
        if self._documents is None:
            self._filled("id")
            return self._columns
        stored = [document.__dict__ for document in self._documents]
        names = set().union(*stored)
        if not names.issubset(FIELDS):
            raise unknown_field(min(names.difference(FIELDS)))
        columns: dict[str, Column] = {"id": [document.id for document in self._documents]}
        for name in FIELDS[1:]:
            if name in names:
                values = [fields.get(name) for fields in stored]
                columns[name] = stack(values) if name in ARRAYS else values
        return columns

    def column(self, name: str) -> Column:
        """Return one field of every document: one array for arrays of one shape, else a list.

        Raises:
            ValidationError: No such field.
        """
        if name not in FIELDS:
            raise unknown_field(name)
        if self._documents is None:
            if name in ARRAYS:
                return self._columns.get(name, [None] * self._rows)
            if name in _EMPTY:
                return self._filled(name)
        values = [getattr(document, name) for document in self._list()]
        return stack(values) if name in ARRAYS else values

    def _filled(self, name: str) -> Column:
        """Return a column with an empty value where there was none; kept, as it may be changed."""
        column = self._columns.get(name)
        if column is None or has_gaps(column):
            empty = _EMPTY[name]
            given = [None] * self._rows if column is None else column
            column = self._columns[name] = [empty() if v is None else v for v in given]
        return column

    def set_column(self, name: str, values: Any) -> None:
        """Set one field of every document.

        Args:
            name: The field.
            values: One value a document; for `tensor` and `embedding` also None, which unsets them.
                An array that lives on a device stays there.

        Raises:
            ValidationError: Another number of values than documents, values of another type than
                the field's, or no such field.
        """
        if name not in FIELDS:
            raise unknown_field(name)
        if name in ARRAYS:
            column = [None] * len(self) if values is None else as_array(values)
        else:
            column = _typed(name, values)
        if len(column) != len(self):
            raise ValidationError(f"{len(column)} values of {name!r} for {len(self)} documents")
        if self._documents is None:
            self._columns[name] = column
        else:
            for document, value in zip(self._documents, column, strict=True):
                setattr(document, name, value)

    def to(self, context: Any) -> Self:
        """Bring every `tensor` and `embedding` to a context, as arrays of `dure.nd`, and return this array.

        What is there already stays as it is, so that whoever works on a device may call this first. What moves counts
        in the ledger (`dure.transfers`).

        Args:
            context: A `Context` or its name.

        Raises:
            DeviceNotFound: There is no such device.
            DeviceOutOfMemory: They do not fit there.
            TransferForbidden: They live elsewhere, inside `no_transfers()`.
            ValidationError: An array that holds no numbers.
        """
        for name in sorted(ARRAYS):
            if self._documents is None:
                column = self._columns.get(name)
            else:
                column = stack([vars(document).get(name) for document in self._documents])
            moved = None if column is None else in_context(column, context)
            if moved is not column:
                self.set_column(name, moved)
        return self


def _typed(name: str, values: Any) -> list[Any]:
    if values is None or isinstance(values, str | bytes | dict):
        raise ValidationError(f"{name!r} needs one value a document, not {values!r:.80}")
    column = values.tolist() if isinstance(values, np.ndarray) else list(values)
    kind = _HOLDS.get(name, object)
    for i, value in enumerate(column):
        if not isinstance(value, kind):
            found = f"{type(value).__name__}: {value!r:.80}"
            raise ValidationError(f"{name!r} of document {i} must be {kind.__name__}, not {found}")
    return column


def _documents_of(rows: int, columns: dict[str, Column]) -> list[Document]:
    documents = list(map(Document.__new__, repeat(Document, rows)))
    for name, column in columns.items():
        if has_gaps(column):
            for document, value in zip(documents, column, strict=True):
                if value is not None:
                    setattr(document, name, value)
        else:
            # The loop above, in C: every method that asks for single documents waits for this.
            deque(map(setattr, documents, repeat(name), column), maxlen=0)
    return documents
