"""Nearest neighbours by brute force: which of some vectors are nearest to each of others.

Knows arrays only, not documents. Memory is bounded by one block of distances, whatever the numbers
of vectors. Candidates come from one matrix product, rounding and all; the nearest of them are
measured again in float64, so that equal vectors get equal scores and keep their order.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from dure.document.column import Column, host_column
from dure.errors import ValidationError
from dure.spec import suggest

Metric: TypeAlias = Literal["cosine", "dot", "euclidean", "sqeuclidean"]

_BLOCK = 2**22
"""Distances held at once: 16 MiB in float32."""

_SIMILARITIES = ("cosine", "dot")
_ROWS = 4096
"""Vectors that are measured again at once."""
# Outside of this range squares and their sums leave that of float32.
_MIN_FLOAT32, _MAX_FLOAT32 = 1e-15, 1e15


def vectors(column: Column, whose: str) -> np.ndarray:
    """Return embeddings as one array of the host, `(n, dim)`.

    Args:
        column: The embeddings of some documents.
        whose: Which documents these are, for messages.

    Raises:
        ValidationError: A document without one, embeddings of several lengths, or not finite.
    """
    column = host_column(column, f"{whose}.embeddings")
    if isinstance(column, list):
        if not column:
            return np.empty((0, 0), np.float32)
        missing = [i for i, value in enumerate(column) if value is None]
        if missing:
            raise ValidationError(f"{whose}[{missing[0]}] has no embedding ({len(missing)} have none)")
        shapes = [value.shape for value in column]
        for i, shape in enumerate(shapes):
            if shape != shapes[0]:
                raise ValidationError(f"{whose}[{i}].embedding has shape {shape}, others {shapes[0]}")
        column = np.array(column)
    if column.ndim != 2 or column.dtype.kind not in "biuf":
        raise ValidationError(f"{whose} must have embeddings of (dim,) numbers, not {column.shape[1:]} {column.dtype}")
    finite = np.isfinite(column).all(axis=1)
    if not finite.all():
        raise ValidationError(f"{whose}[{np.argmin(finite)}].embedding is not finite")
    return column


def nearest(
    queries: np.ndarray,
    others: np.ndarray,
    *,
    metric: Metric,
    limit: int,
    excluded: Sequence[Sequence[int]] | None = None,
    batch_size: int | None = None,
) -> Iterator[tuple[list[int], list[float]]]:
    """Yield for each query the rows of the nearest others, nearest first, and their scores.

    Args:
        queries: `(n, dim)`.
        others: `(m, dim)`.
        metric: "cosine" (the similarity, 1 for the same direction, 0 for a vector of zeros) and
            "dot": the greatest are nearest; "euclidean" and "sqeuclidean": the least.
        limit: Most neighbours of a query. Equally near ones come in the order of their rows.
        excluded: For each query the rows of `others` that must not be found.
        batch_size: Queries in one block; as many as memory allows if not given.

    Raises:
        ValidationError: Unknown metric, `limit` or `batch_size` less than 1, another dim.
    """
    _check(queries, others, metric, limit, batch_size)
    if not len(others):
        yield from (([], []) for _ in queries)
        return
    space = _Space(queries, others, metric)
    step = batch_size or max(1, _BLOCK // max(1, len(others)))
    for start in range(0, len(queries), step):
        block, slack = space.distances(slice(start, start + step))
        for i, distances in enumerate(block, start):
            if excluded is not None:
                distances[excluded[i]] = np.inf
            yield space.best(i, distances, slack[i - start], limit)


def _check(queries: np.ndarray, others: np.ndarray, metric: str, limit: int, batch_size: int | None) -> None:
    if metric not in get_args(Metric):
        raise ValidationError(
            f"unknown metric {metric!r}.{suggest(metric, get_args(Metric))} Known are: {', '.join(get_args(Metric))}."
        )
    if limit < 1 or (batch_size is not None and batch_size < 1):
        raise ValidationError(f"limit ({limit}) and batch_size ({batch_size}) must be at least 1")
    if len(queries) and len(others) and queries.shape[1] != others.shape[1]:
        raise ValidationError(f"embeddings of {queries.shape[1]} numbers cannot be compared with {others.shape[1]}")


class _Space:
    """The vectors of one search, and how far apart they are: the less, the nearer."""

    def __init__(self, queries: np.ndarray, others: np.ndarray, metric: Metric) -> None:
        self._metric = metric
        self._norms = _norms(queries), _norms(others)
        if metric == "cosine" and not (_is_ordinary(queries, self._norms[0]) and _is_ordinary(others, self._norms[1])):
            # Products of very short or long vectors leave the range even of float64; their directions are what counts.
            queries, others = _directions(queries), _directions(others)
            self._norms = _norms(queries), _norms(others)
        self._dtype = _working_dtype(queries, others, np.concatenate(self._norms))
        self._queries = queries.astype(self._dtype, copy=False)
        self._others = others.astype(self._dtype, copy=False)
        self._given = queries, others

    def distances(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return distances from some queries to all others, and how far rounding may be off.

        Returns:
            `(rows, m)` in the working type, `(rows,)` float64.
        """
        block = self._queries[rows] @ self._others.T
        ours, theirs = self._norms[0][rows], self._norms[1]
        if self._metric == "cosine":
            block *= _inverse(ours).astype(self._dtype)[:, None]
            block *= _inverse(theirs).astype(self._dtype)
            scale = np.ones_like(ours)
        elif self._metric == "dot":
            scale = ours * theirs.max()
        else:  # |q - o|² = |q|² + |o|² - 2 q·o, of which |q|² is the same for all others
            block *= 2
            block -= (theirs * theirs).astype(self._dtype)
            scale = (ours + theirs.max()) ** 2
        np.negative(block, out=block)
        rounding = 4 * (self._others.shape[1] + 8) * np.finfo(self._dtype).eps
        return block, scale * rounding

    def best(self, query: int, distances: np.ndarray, slack: float, limit: int) -> tuple[list[int], list[float]]:
        """Return the rows and scores of the nearest others, but none at infinite distance."""
        near = np.arange(len(distances))
        if len(near) > limit:
            farthest = np.partition(distances, limit - 1)[limit - 1]
            near = np.flatnonzero(distances <= farthest + slack)
        near = near[np.isfinite(distances[near])]
        scores = self._scores(query, near)
        order = np.argsort(-scores if self._metric in _SIMILARITIES else scores, kind="stable")
        order = order[:limit]
        return near[order].tolist(), scores[order].tolist()

    def _scores(self, query: int, rows: np.ndarray) -> np.ndarray:
        """Measure a query against some others in float64; equal vectors get equal scores."""
        vector = self._given[0][query].astype(np.float64)
        scores = np.empty(len(rows))
        for start in range(0, len(rows), _ROWS):
            part = self._given[1][rows[start : start + _ROWS]].astype(np.float64)
            scores[start : start + _ROWS] = _measure(self._metric, vector, part)
        return scores


def _measure(metric: Metric, vector: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the scores of `others`, `(rows, dim)`, for a vector, `(dim,)`: `(rows,)`."""
    # Sums along the rows, not a product with BLAS, whose rounding depends on the row's place.
    if metric in ("euclidean", "sqeuclidean"):
        squares: np.ndarray = ((others - vector) ** 2).sum(axis=1)
        return np.sqrt(squares) if metric == "euclidean" else squares
    products: np.ndarray = (others * vector).sum(axis=1)
    if metric == "dot":
        return products
    lengths = np.sqrt((vector * vector).sum()) * np.sqrt((others * others).sum(axis=1))
    cosines: np.ndarray = np.clip(products * _inverse(lengths), -1.0, 1.0)
    return cosines


def _norms(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        norms: np.ndarray = np.sqrt(np.einsum("ij,ij->i", array, array, dtype=np.float64))
    if not np.isfinite(norms).all():
        raise ValidationError(f"embeddings of length {np.nanmax(np.abs(array)):.0e} are too long")
    return norms


def _working_dtype(queries: np.ndarray, others: np.ndarray, norms: np.ndarray) -> np.dtype[Any]:
    small = all(a.dtype.kind == "f" and a.dtype.itemsize <= 4 for a in (queries, others))
    return np.dtype(np.float32 if small and _in_range(norms) else np.float64)


def _in_range(norms: np.ndarray) -> bool:
    return bool((((norms > _MIN_FLOAT32) | (norms == 0)) & (norms < _MAX_FLOAT32)).all())


def _is_ordinary(array: np.ndarray, norms: np.ndarray) -> bool:
    return _in_range(norms) and not array[norms == 0].any()  # the squares of the shortest vectors are 0


def _directions(array: np.ndarray) -> np.ndarray:
    """Return vectors of the same directions, with a greatest number of 1; one of zeros stays as it is."""
    greatest = np.abs(array).max(axis=1, initial=0.0).astype(np.float64)
    greatest[greatest == 0] = 1.0
    directions: np.ndarray = array.astype(np.float64) / greatest[:, None]
    return directions


def _inverse(values: np.ndarray) -> np.ndarray:
    """Return 1 / value, and 0 for 0."""
    inverse: np.ndarray = np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)
    return inverse
