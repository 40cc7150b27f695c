"""Put arrays of documents one after the other, take them apart again, join branches of a Flow.

Works on columns where it can. Knows nothing of requests: counts and order are the caller's.
"""

import copy
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from dure.document.array import DocumentArray
from dure.document.column import Column, host_column
from dure.document.device_arrays import concatenated, is_device_array
from dure.document.document import DICTS, Document
from dure.errors import ValidationError


def concatenate(arrays: Sequence[DocumentArray]) -> DocumentArray:
    """Return one array of all documents, in order."""
    if len(arrays) == 1:
        return arrays[0]
    if any(array.is_list for array in arrays):
        return DocumentArray(document for array in arrays for document in array)
    filled = [array for array in arrays if len(array)]
    parts = [array.columns() for array in filled]
    counts = [len(array) for array in filled]
    names = dict.fromkeys(name for part in parts for name in part)
    columns = {name: _joined([part.get(name) for part in parts], counts) for name in names}
    return DocumentArray.from_columns(sum(counts), columns)


def _joined(columns: list[Column | None], counts: list[int]) -> Column:
    arrays = [column for column in columns if isinstance(column, np.ndarray)]
    if len(arrays) == len(columns) and len({(a.dtype, a.shape[1:]) for a in arrays}) == 1:
        return np.concatenate(arrays)
    if (whole := concatenated(columns)) is not None:
        joined: Column = whole
        return joined
    values: list[Any] = []
    for column, count in zip(columns, counts, strict=True):
        values.extend([None] * count if column is None else column)
    return values


def split(documents: DocumentArray, counts: Sequence[int]) -> list[DocumentArray]:
    """Take an array apart into arrays of `counts` documents, without copying arrays of the host.

    A column that lives on a device is brought to the host first: one move instead of one for each part.

    Raises:
        TransferForbidden: There is such a column, inside `no_transfers()`.
        ValidationError: The counts do not add up to the number of documents.
    """
    if sum(counts) != len(documents) or min(counts, default=0) < 0:
        raise ValidationError(f"{len(documents)} documents cannot be split into {list(counts)}")
    if len(counts) == 1:
        return [documents]
    ends = list(accumulate(counts))
    ranges = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    if documents.is_list:
        return [documents[cut] for cut in ranges]
    columns = {
        name: host_column(column, name) if is_device_array(column) else column
        for name, column in documents.columns().items()
    }
    return [
        DocumentArray.from_columns(count, {name: column[cut] for name, column in columns.items()})
        for cut, count in zip(ranges, counts, strict=True)
    ]


def join(branches: Sequence[DocumentArray]) -> DocumentArray:
    """Join what several branches of a Flow made of the same documents, which stay as they are.

    Documents with one id become one: what any branch has set is there. Where two have set the same
    field the later branch wins; of tags and scores, key by key. Where a branch has several
    documents with one id, the first is joined with the first of the others, and so on. The order is
    that of the first branch, then documents that only others have.
    """
    if len(branches) == 1:
        return branches[0]
    joined: dict[tuple[str, int], Document] = {}
    for branch in branches:
        for key, document in _numbered(branch):
            known = joined.get(key)
            if known is None:
                joined[key] = copy.copy(document)
            else:
                _update(known, document)
    return DocumentArray(joined.values())


def _numbered(branch: DocumentArray) -> Iterator[tuple[tuple[str, int], Document]]:
    seen: dict[str, int] = {}
    for document in branch:
        count = seen[document.id] = seen.get(document.id, -1) + 1
        yield (document.id, count), document


def _update(known: Document, other: Document) -> None:
    fields = vars(known)
    for name, value in vars(other).items():
        if hasattr(value, "shape"):  # an array, which has no truth
            fields[name] = value
        elif value:
            fields[name] = {**fields.get(name, {}), **value} if name in DICTS else value
