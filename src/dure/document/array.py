"""A list of Documents that can also be read and written by column.

How it holds them is told in `table.py`. Formats and nearest neighbours are thin methods here; the
work is done in `files.py`, `arrow.py`, `dataframe.py` and `match.py`. Knows nothing of the wire.
"""

import copy
import random
from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence
from typing import Any, Self, overload

import numpy as np

from dure.document import arrow, dataframe, files, match
from dure.document.column import Column
from dure.document.document import Document
from dure.document.headers import PathLike
from dure.document.table import Table
from dure.errors import ValidationError


class DocumentArray(Table, MutableSequence[Document]):
    """Documents in order: list-like, and with a column accessor for each field.

    Args:
        documents: Documents, or one Document.

    Raises:
        ValidationError: An item is not a Document.
    """

    __slots__ = ()

    def __init__(self, documents: Iterable[Document] | Document = ()) -> None:
        items = [documents] if isinstance(documents, Document) else list(documents)
        for item in items:
            _checked(item)
        self._documents, self._columns, self._rows = items, {}, 0

    # -- a list of Documents -----------------------------------------------------------------

    def __iter__(self) -> Iterator[Document]:
        return iter(self._list())

    @overload
    def __getitem__(self, key: int | str) -> Document: ...
    @overload
    def __getitem__(self, key: slice | Sequence[int] | np.ndarray) -> "DocumentArray": ...
    def __getitem__(self, key: Any) -> Any:
        """One document by position or id; the same documents by slice, positions or mask."""
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
    def __setitem__(self, key: int | str, value: Document) -> None: ...
    @overload
    def __setitem__(self, key: slice, value: Iterable[Document]) -> None: ...
    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, slice):
            self._list()[key] = DocumentArray(value)._list()
        else:
            position = self._position(key) if isinstance(key, str) else key
            self._list()[position] = _checked(value)

    def __delitem__(self, key: int | str | slice) -> None:
        del self._list()[self._position(key) if isinstance(key, str) else key]

    def insert(self, index: int, value: Document) -> None:
        """Put a Document before position `index`."""
        self._list().insert(index, _checked(value))

    def append(self, value: Document) -> None:
        """Put a Document at the end."""
        self._list().append(_checked(value))

    def extend(self, values: Iterable[Document]) -> None:
        """Put Documents at the end; all, or none if one of them is not a Document."""
        self._list().extend(DocumentArray(values)._list())

    def __contains__(self, item: object) -> bool:
        """Whether there is such a Document, or one with this id."""
        if isinstance(item, str):
            return item in self.column("id")
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
        return self.sample(len(self), seed)

    def sample(self, k: int, seed: int | None = None) -> "DocumentArray":
        """Return `k` of the documents, drawn without replacement.

        Raises:
            ValidationError: There are not as many.
        """
        if not 0 <= k <= len(self):
            raise ValidationError(f"a sample of {k} cannot be drawn from {len(self)} documents")
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
            path: "r" for these documents, "c" for their chunks, "m" for their matches; letters are
                steps ("cm": the matches of the chunks), a comma unites paths ("r,c").

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

    def match(
        self,
        other: "DocumentArray",
        *,
        metric: match.Metric = "cosine",
        limit: int = 20,
        exclude_self: bool = False,
        batch_size: int | None = None,
    ) -> None:
        """Find the nearest of other documents for each of these, by embedding.

        Sets `matches` of every document to copies of those found, the nearest first, each with its
        score under the metric's name. The copies share the content of the originals, which stay
        as they are, and have no matches of their own.

        Args:
            other: Where to look; may be this array itself.
            metric: "cosine" (the similarity, from -1 to 1; 0 for a vector of zeros) and "dot": the
                greatest scores are nearest; "euclidean" and "sqeuclidean": the least.
            limit: Most matches of a document. Equally near ones come in the order of `other`.
            exclude_self: Leave out documents with the same id.
            batch_size: Documents compared with all others at once; chosen to use some 16 MiB if
                not given.

        Raises:
            ValidationError: A document without embedding, embeddings that cannot be compared, or a
                metric, limit or batch_size that there is not.
        """
        excluded = None
        if exclude_self:
            places: dict[str, list[int]] = {}
            for i, id_ in enumerate(other.ids):
                places.setdefault(id_, []).append(i)
            excluded = [places.get(id_, []) for id_ in self.ids]
        found = match.nearest(
            match.vectors(self.column("embedding"), "documents"),
            match.vectors(other.column("embedding"), "other documents"),
            metric=metric,
            limit=limit,
            excluded=excluded,
            batch_size=batch_size,
        )
        candidates = other._list()
        for document, (rows, scores) in zip(self._list(), found, strict=True):
            document.matches = DocumentArray(
                _scored(candidates[row], metric, score) for row, score in zip(rows, scores, strict=True)
            )

    # -- columns -----------------------------------------------------------------------------

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
        """All embeddings as one array `(n, dim)`, where they live.

        A list where they differ in shape or place or some are missing; None if no document has one.
        """
        return _or_none(self.column("embedding"))

    @embeddings.setter
    def embeddings(self, values: Any) -> None:
        self.set_column("embedding", values)

    @property
    def tensors(self) -> Any:
        """All tensors as one array `(n, …)`; else as `embeddings`."""
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

    # -- formats -----------------------------------------------------------------------------

    @classmethod
    def from_jsonl(cls, path: PathLike, *, encoding: str = "utf-8") -> Self:
        """Read a JSON-lines file; `files.read_jsonl` tells how, and yields from larger ones."""
        return cls(files.read_jsonl(path, encoding=encoding))

    def to_jsonl(self, path: PathLike) -> None:
        """Write a document per line as JSON in UTF-8; see `files.write_jsonl`."""
        files.write_jsonl(path, self)

    @classmethod
    def from_csv(
        cls,
        path: PathLike,
        *,
        text: str | None = "text",
        names: Sequence[str] | None = None,
        delimiter: str = ",",
        quoted: bool = True,
        encoding: str = "utf-8",
    ) -> Self:
        """Read a CSV file; `files.read_csv` tells how, and yields from larger ones."""
        rows = files.read_csv(path, text=text, names=names, delimiter=delimiter, quoted=quoted, encoding=encoding)
        return cls(rows)

    def to_csv(self, path: PathLike, *, delimiter: str = ",", encoding: str = "utf-8") -> None:
        """Write a row per document, so that `from_csv` makes equal ones; see `files.write_csv`."""
        files.write_csv(path, self, delimiter=delimiter, encoding=encoding)

    @classmethod
    def from_arrow(cls, table: Any, *, text: str | None = "text") -> Self:
        """Make documents of a `pyarrow.Table`; see `arrow.from_table`."""
        return cls.from_columns(*arrow.from_table(table, text))

    def to_arrow(self) -> Any:
        """Return a `pyarrow.Table`; see `arrow.to_table`."""
        return arrow.to_table({"id": self.ids, "text": self.texts, **self.columns()})

    @classmethod
    def from_parquet(cls, path: PathLike, *, text: str | None = "text") -> Self:
        """Read a Parquet file; columns are read as by `from_arrow`."""
        return cls.from_arrow(arrow.read_parquet(path), text=text)

    def to_parquet(self, path: PathLike) -> None:
        """Write the table of `to_arrow` as a Parquet file."""
        arrow.write_parquet(path, self.to_arrow())

    @classmethod
    def from_dataframe(cls, frame: Any, *, text: str | None = "text") -> Self:
        """Make documents of a `pandas.DataFrame`; see `dataframe.from_frame`."""
        return cls.from_columns(*dataframe.from_frame(frame, text))

    def to_dataframe(self) -> Any:
        """Return a `pandas.DataFrame`; see `dataframe.to_frame`."""
        return dataframe.to_frame({"id": self.ids, **self.columns(), "text": self.texts})


def _checked(item: Any) -> Document:
    if not isinstance(item, Document):
        raise ValidationError(f"a DocumentArray holds Documents, not {type(item).__name__}: {item!r:.80}")
    return item


def _or_none(column: Column) -> Any:
    if isinstance(column, list) and all(value is None for value in column):
        return None
    return column


def _scored(original: Document, metric: str, score: float) -> Document:
    found = copy.copy(original)
    vars(found).pop("matches", None)
    found.scores = {**vars(original).get("scores", {}), metric: score}
    return found
