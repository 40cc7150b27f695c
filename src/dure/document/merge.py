"""Put arrays of documents one after the other, take them apart again, and join branches of a Flow.

Works on columns where it can. Knows nothing of requests: counts and order are the caller's.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from dure.document.array import Column, DocumentArray
from dure.errors import ValidationError


def concatenate(arrays: Sequence[DocumentArray]) -> DocumentArray:
    """Return one array of all documents, in order."""
    if len(arrays) == 1:
        return arrays[0]
    if any(array.is_list for array in arrays):
        return DocumentArray(document for array in arrays for document in array)
    parts = [array.columns() for array in arrays]
    names = dict.fromkeys(name for part in parts for name in part)
    counts = [len(array) for array in arrays]
    columns = {name: _joined([part.get(name) for part in parts], counts) for name in names}
    return DocumentArray.from_columns(sum(counts), columns)


def _joined(columns: list[Column | None], counts: list[int]) -> Column:
    arrays = [column for column in columns if isinstance(column, np.ndarray)]
    if len(arrays) == len(columns) and len({(a.dtype, a.shape[1:]) for a in arrays}) == 1:
        return np.concatenate(arrays)
    values: Column = []
    for column, count in zip(columns, counts, strict=True):
        values.extend([None] * count if column is None else column)
    return values


def split(documents: DocumentArray, counts: Sequence[int]) -> list[DocumentArray]:
    """Take an array apart into arrays of `counts` documents, without copying arrays of numbers.

    Raises:
        ValidationError: The counts do not add up to the number of documents.
    """
    if sum(counts) != len(documents):
        raise ValidationError(f"{len(documents)} documents cannot be split into {list(counts)}")
    if len(counts) == 1:
        return [documents]
    ends = list(accumulate(counts))
    ranges = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    if documents.is_list:
        return [documents[cut] for cut in ranges]
    columns = documents.columns()
    return [
        DocumentArray.from_columns(count, {name: column[cut] for name, column in columns.items()})
        for cut, count in zip(ranges, counts, strict=True)
    ]


def join(branches: Sequence[DocumentArray]) -> DocumentArray:
    """Join what several branches of a Flow made of the same documents.

    Documents with one id become one: what any branch has set is there, a later branch winning where two set the same
    field. The order is that of the first branch, then documents only others have.
    """
    if len(branches) == 1:
        return branches[0]
    joined = {document.id: document for document in branches[0]}
    for branch in branches[1:]:
        for document in branch:
            known = joined.setdefault(document.id, document)
            known.__dict__.update(document.__dict__)
    return DocumentArray(joined.values())
