"""A list of Documents that can also be read and written by column.

It is in one of two states: a list of `Document` objects, or columns (as they come off the wire) until somebody asks
for a single document. So a method that only uses `docs.texts` and `docs.embeddings` never makes an object per row.
Knows nothing of files (`files.py`), of neighbours (`match.py`) or of the wire (`codec.py`).
"""

import random
from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence
from typing import Any, Self, TypeAlias, overload

import numpy as np

from dure.document.document import FIELDS, Document, new_id
from dure.errors import ValidationError
from dure.spec import suggest

Column: TypeAlias = list[Any] | np.ndarray
"""One value a row: a list (None where a row has none), or an array whose first axis is the rows."""

_NOTHING: dict[str, Any] = {"text": "", "blob": b"", "uri": "", "mime_type": ""}


class DocumentArray(MutableSequence[Document]):
    """Documents in order: list-like, and with a column accessor for each field.

    Args:
        documents: Documents, or one Document.

    Raises:
        ValidationError: An item is not a Document.
    """

    __slots__ = ("_columns", "_documents", "_rows")

    def __init__(self, documents: Iterable[Document] | Document = ()) -> None:
        items = [documents] if isinstance(documents, Document) else list(documents)
        for item in items:
            if not isinstance(item, Document):
                raise ValidationError(f"a DocumentArray holds Documents, not {type(item).__name__}: {item!r:.80}")
        self._documents: list[Document] | None = items
        self._columns: dict[str, Column] = {}
        self._rows = 0

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
                raise ValidationError(f"a Document has no field {name!r}.{suggest(name, FIELDS)}")
            if len(column) != rows:
                raise ValidationError(f"column {name!r} has {len(column)} values for {rows} documents")
        self = cls.__new__(cls)
        self._documents, self._columns, self._rows = None, columns, rows
        return self

    @property
    def is_list(self) -> bool:
        """Whether there is an object per document already, rather than columns."""
        return self._documents is not None

    # -- a list of Documents --------------------------------------------------------------------------------------

    def _list(self) -> list[Document]:
        if self._documents is None:
            self._documents = _documents_of(self._rows, self._columns)
            self._columns = {}
        return self._documents

    def __len__(self) -> int:
        return self._rows if self._documents is None else len(self._documents)

    def __iter__(self) -> Iterator[Document]:
        return iter(self._list())

    @overload
    def __getitem__(self, key: int | str) -> Document: ...
    @overload
    def __getitem__(self, key: slice | Sequence[int] | np.ndarray) -> "DocumentArray": ...
    def __getitem__(self, key: Any) -> Any:
        """One document by position or id; an array of the same documents by slice, positions or mask."""
        documents = self._list()
        if isinstance(key, str):
            return documents[self._position(key)]
        if isinstance(key, slice):
            return DocumentArray(documents[key])
        if isinstance(key, Sequence | np.ndarray):
            chosen = np.asarray(key)
            if chosen.dtype == bool:
                if chosen.shape != (len(documents),):
                    raise ValidationError(f"a mask of shape {chosen.shape} for {len(documents)} documents")
                chosen = np.flatnonzero(chosen)
            return DocumentArray(documents[i] for i in chosen.tolist())
        return documents[key]

    @overload
    def __setitem__(self, key: int, value: Document) -> None: ...
    @overload
    def __setitem__(self, key: slice, value: Iterable[Document]) -> None: ...
    def __setitem__(self, key: Any, value: Any) -> None:
        documents = self._list()
        if isinstance(key, str):
            key = self._position(key)
        documents[key] = list(DocumentArray(value)) if isinstance(key, slice) else DocumentArray(value)[0]

    def __delitem__(self, key: Any) -> None:
        documents = self._list()
        del documents[self._position(key) if isinstance(key, str) else key]

    def insert(self, index: int, value: Document) -> None:
        """Put a Document before position `index`."""
        self._list().insert(index, DocumentArray(value)[0])

    def __contains__(self, item: object) -> bool:
        if isinstance(item, str):
            return any(document.id == item for document in self._list())
        return item in self._list()

    def __add__(self, other: Iterable[Document]) -> "DocumentArray":
        return DocumentArray([*self._list(), *DocumentArray(other)._list()])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DocumentArray):
            return NotImplemented
        return self._list() == other._list()

    __hash__ = None  # type: ignore[assignment]  # arrays change

    def __repr__(self) -> str:
        return f"<DocumentArray of {len(self)}>"

    def _position(self, id: str) -> int:  # noqa: A002 - the field's name
        for i, document in enumerate(self._list()):
            if document.id == id:
                return i
        raise KeyError(f"no document with id {id!r} among {len(self)}")

    def sort(self, key: Callable[[Document], Any], *, reverse: bool = False) -> None:
        """Sort in place, as `list.sort`."""
        self._list().sort(key=key, reverse=reverse)

    def shuffle(self, seed: int | None = None) -> "DocumentArray":
        """Return the same documents in a random order, the same one for the same seed."""
        return DocumentArray(random.Random(seed).sample(self._list(), len(self)))

    def sample(self, k: int, seed: int | None = None) -> "DocumentArray":
        """Return `k` of the documents, drawn without replacement."""
        return DocumentArray(random.Random(seed).sample(self._list(), k))

    def batch(self, batch_size: int) -> Iterator["DocumentArray"]:
        """Yield the documents in arrays of `batch_size`; the last may be smaller.

        Raises:
            ValidationError: `batch_size` is less than 1.
        """
        if batch_size < 1:
            raise ValidationError(f"batch_size must be at least 1, not {batch_size}")
        for start in range(0, len(self), batch_size):
            yield self[start : start + batch_size]

    def traverse(self, path: str) -> "DocumentArray":
        """Return the documents at a path in one flat array.

        Args:
            path: "r" for these documents, "c" for their chunks, "m" for their matches; letters are steps ("cm": the
                matches of the chunks), a comma unites paths ("r,c").

        Raises:
            ValidationError: Another letter in `path`.
        """
        found: list[Document] = []
        for steps in path.split(","):
            level = self._list()
            for step in steps.strip():
                if step not in "rcm":
                    raise ValidationError(f"path {path!r}: {step!r} is no step; use r (these), c (chunks), m (matches)")
                if step != "r":
                    inside = "chunks" if step == "c" else "matches"
                    level = [d for parent in level for d in getattr(parent, inside)]
            found.extend(level)
        return DocumentArray(found)

    traverse_flat = traverse

    # -- columns --------------------------------------------------------------------------------------------------

    def column(self, name: str) -> Column:
        """Return one field of every document: an array for tensors and embeddings of one shape, else a list.

        Raises:
            ValidationError: No such field.
        """
        if name not in FIELDS:
            raise ValidationError(f"a Document has no field {name!r}.{suggest(name, FIELDS)}")
        if self._documents is not None:
            values = [getattr(document, name) for document in self._documents]
            return stack(values) if name in ("tensor", "embedding") else values
        column = self._columns.get(name)
        if column is None and name in ("tensor", "embedding"):
            return [None] * self._rows
        if column is None or _has_gaps(column):
            if name not in _NOTHING:
                return [getattr(document, name) for document in self._list()]
            empty = _NOTHING[name]
            return [empty if v is None else v for v in column or [None] * self._rows]
        return column

    def set_column(self, name: str, values: Any) -> None:
        """Set one field of every document; `values` has one value a document.

        Raises:
            ValidationError: Another number of values than documents, or no such field.
        """
        if name not in FIELDS:
            raise ValidationError(f"a Document has no field {name!r}.{suggest(name, FIELDS)}")
        column: Column = as_array(values) if name in ("tensor", "embedding") else list(values)
        if len(column) != len(self):
            raise ValidationError(f"{len(column)} values of {name!r} for {len(self)} documents")
        if self._documents is None:
            self._columns[name] = column
        else:
            for document, value in zip(self._documents, column, strict=True):
                setattr(document, name, value)

    def get_attributes(self, *names: str) -> list[Any]:
        """Return one list for one name, a list of lists for several."""
        lists = [list(self.column(name)) for name in names]
        return lists[0] if len(names) == 1 else lists

    @property
    def texts(self) -> list[str]:
        """Every document's text."""
        return list(self.column("text"))

    @texts.setter
    def texts(self, values: Iterable[str]) -> None:
        self.set_column("text", values)

    @property
    def embeddings(self) -> Any:
        """All embeddings as one array `(n, dim)`; a list where they differ in shape; None if no document has one."""
        return _or_none(self.column("embedding"))

    @embeddings.setter
    def embeddings(self, values: Any) -> None:
        self.set_column("embedding", values)

    @property
    def tensors(self) -> Any:
        """All tensors as one array `(n, …)`; a list where they differ in shape; None if no document has one."""
        return _or_none(self.column("tensor"))

    @tensors.setter
    def tensors(self, values: Any) -> None:
        self.set_column("tensor", values)

    @property
    def blobs(self) -> list[bytes]:
        """Every document's bytes."""
        return list(self.column("blob"))

    @blobs.setter
    def blobs(self, values: Iterable[bytes]) -> None:
        self.set_column("blob", values)

    @property
    def tags(self) -> list[dict[str, Any]]:
        """Every document's tags."""
        return list(self.column("tags"))

    @tags.setter
    def tags(self, values: Iterable[dict[str, Any]]) -> None:
        self.set_column("tags", values)

    @property
    def ids(self) -> list[str]:
        """Every document's id."""
        return list(self.column("id"))

    def columns(self) -> dict[str, Column]:
        """Return the fields that any document has set, each with one value a document (None where it has none)."""
        if self._documents is None:
            if "id" not in self._columns:
                self._columns["id"] = [new_id() for _ in range(self._rows)]
            return self._columns
        stored = [document.__dict__ for document in self._documents]
        names = set().union(*stored)
        columns: dict[str, Column] = {}
        for name in FIELDS:
            if name in names:
                values = [fields.get(name) for fields in stored]
                columns[name] = stack(values) if name in ("tensor", "embedding") else values
        return columns


def as_array(values: Any) -> Column:
    """Return numbers, an array or a list of arrays as one array where they have one shape, else as a list."""
    if isinstance(values, np.ndarray):
        return values
    if hasattr(values, "__array__"):
        return np.asarray(values)
    return stack(list(values))


def stack(values: list[Any]) -> Column:
    """Return `(n, …)` if every value is there with one shape and type, else a list of arrays and None."""
    arrays = [v if v is None or isinstance(v, np.ndarray) else np.asarray(v) for v in values]
    if not arrays or any(a is None for a in arrays):
        return arrays
    first = arrays[0]
    if all(a.shape == first.shape and a.dtype == first.dtype for a in arrays):
        return np.stack(arrays)
    return arrays


def _has_gaps(column: Column) -> bool:
    return isinstance(column, list) and any(value is None for value in column)


def _or_none(column: Column) -> Any:
    if isinstance(column, list) and all(value is None for value in column):
        return None
    return column


def _documents_of(rows: int, columns: dict[str, Column]) -> list[Document]:
    make = Document.__new__
    documents = [make(Document) for _ in range(rows)]
    for name, column in columns.items():
        if _has_gaps(column):
            for document, value in zip(documents, column, strict=True):
                if value is not None:
                    setattr(document, name, value)
        else:
            for document, value in zip(documents, column, strict=True):
                setattr(document, name, value)
    return documents
