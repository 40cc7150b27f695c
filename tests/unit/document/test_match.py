import itertools
import tracemalloc
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dure.document.match import Metric, nearest, vectors
from dure.errors import ValidationError

METRICS = list(get_args(Metric))


def measured(metric: str, one: np.ndarray, other: np.ndarray) -> float:
    a, b = one.astype(np.float64), other.astype(np.float64)
    if metric == "dot":
        return float(a @ b)
    if metric == "cosine":
        if not (a.any() and b.any()):
            return 0.0
        a, b = a / np.abs(a).max(), b / np.abs(b).max()  # else the squares of very small numbers lose digits
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    square = float(((a - b) ** 2).sum())
    return square**0.5 if metric == "euclidean" else square


def by_brute_force(metric: str, query: np.ndarray, others: np.ndarray) -> list[tuple[int, float]]:
    sign = -1 if metric in ("cosine", "dot") else 1
    scores = [measured(metric, query, other) for other in others]
    order = sorted(range(len(others)), key=lambda i: sign * scores[i])
    return [(i, scores[i]) for i in order]


# Whole numbers, so that products and squares are exact and there are many ties.
@st.composite
def spaces(draw: st.DrawFn, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    dim, n, m = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 12))
    elements = {"min_value": -3, "max_value": 3}
    if dtype == "float32":
        numbers = st.integers(-3, 3).map(float)
        return draw(hnp.arrays(dtype, (n, dim), elements=numbers)), draw(hnp.arrays(dtype, (m, dim), elements=numbers))
    return draw(hnp.arrays(dtype, (n, dim), elements=elements)), draw(hnp.arrays(dtype, (m, dim), elements=elements))


@pytest.mark.parametrize("metric", ["dot", "euclidean", "sqeuclidean"])
@given(space=spaces() | spaces("int8") | spaces("float64"), limit=st.integers(1, 14))
def test_the_same_as_brute_force(metric: Metric, space: tuple[np.ndarray, np.ndarray], limit: int) -> None:
    queries, others = space
    found = list(nearest(queries, others, metric=metric, limit=limit))
    for query, (rows, scores) in zip(queries, found, strict=True):
        expected = by_brute_force(metric, query, others)[:limit]
        if queries.dtype == np.float64:  # ties are ties up to rounding only
            assert scores == pytest.approx([score for _, score in expected], abs=1e-9)
        else:
            assert rows == [row for row, _ in expected]
            assert scores == pytest.approx([score for _, score in expected])


@given(space=spaces() | spaces("float64"), limit=st.integers(1, 14))
def test_cosines_are_those_of_brute_force(space: tuple[np.ndarray, np.ndarray], limit: int) -> None:
    queries, others = space
    found = list(nearest(queries, others, metric="cosine", limit=limit))
    for query, (rows, scores) in zip(queries, found, strict=True):
        expected = [score for _, score in by_brute_force("cosine", query, others)[:limit]]
        assert scores == pytest.approx(expected, abs=1e-9)
        assert [measured("cosine", query, others[row]) for row in rows] == pytest.approx(expected, abs=1e-9)
        assert all(-1 <= score <= 1 for score in scores)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_equal_vectors_keep_their_order(metric: Metric, dtype: str) -> None:
    random = np.random.default_rng(0)
    vector = random.standard_normal(67)
    others = random.standard_normal((101, 67))
    same = [3, 10, 11, 50, 99]
    others[same] = vector
    queries = np.stack([vector, -vector]).astype(dtype)
    [(rows, scores), _] = nearest(queries, others.astype(dtype), metric=metric, limit=4)
    assert rows == same[:4]
    assert len(set(scores)) == 1
    # and where all are equally near, the first ones are found
    everywhere = np.tile(vector, (5000, 1)).astype(dtype)
    for rows, _ in nearest(queries, everywhere, metric=metric, limit=3):
        assert rows == [0, 1, 2]


@pytest.mark.parametrize("metric", METRICS)
def test_a_vector_of_zeros_is_no_nan(metric: Metric) -> None:
    queries = np.array([[0, 0], [1, 1]], np.float32)
    others = np.array([[0, 0], [1, 0]], np.float32)
    for rows, scores in nearest(queries, others, metric=metric, limit=5):
        assert sorted(rows) == [0, 1]
        assert np.isfinite(scores).all()
    assert next(nearest(queries, others, metric="cosine", limit=5)) == ([0, 1], [0.0, 0.0])


def test_near_ones_among_far_ones_are_told_apart() -> None:
    # |a|² + |b|² - 2ab loses all of these differences in float32.
    others = np.full((6, 3), 1000, np.float32)
    others[:, 0] += np.array([5, 3, 1, 2, 4, 6]) / 256
    [(rows, scores)] = nearest(np.full((1, 3), 1000, np.float32), others, metric="euclidean", limit=3)
    assert rows == [2, 3, 1]
    assert scores == [1 / 256, 2 / 256, 3 / 256]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("size", [1e-30, 1e-18, 1e18, 1e30])
def test_very_small_and_large_numbers(metric: Metric, size: float) -> None:
    queries = np.array([[1, 2]], np.float32) * np.float32(size)
    others = np.array([[2, 1], [1, 2.5], [-1, 2]], np.float32) * np.float32(size)
    [(rows, scores)] = nearest(queries, others, metric=metric, limit=3)
    assert rows == [row for row, _ in by_brute_force(metric, queries[0], others)]
    assert np.isfinite(scores).all()


def test_excluded_ones_are_not_found() -> None:
    points = np.array([[0], [1], [2], [3]], np.float32)
    found = nearest(points[:2], points, metric="euclidean", limit=3, excluded=[[0, 2], []])
    assert [rows for rows, _ in found] == [[1, 3], [1, 0, 2]]
    found = nearest(points[:1], points[:1], metric="dot", limit=3, excluded=[[0]])
    assert list(found) == [([], [])]


@pytest.mark.parametrize("batch_size", [None, 1, 2, 3, 100])
def test_blocks_do_not_change_what_is_found(batch_size: int | None) -> None:
    random = np.random.default_rng(1)
    queries, others = random.standard_normal((7, 5)), random.standard_normal((20, 5))
    excluded = [[i] for i in range(7)]
    found = nearest(queries, others, metric="cosine", limit=3, excluded=excluded, batch_size=batch_size)
    whole = nearest(queries, others, metric="cosine", limit=3, excluded=excluded)
    assert [rows for rows, _ in found] == [rows for rows, _ in whole]


def test_memory_is_that_of_a_block() -> None:
    queries, others = np.ones((3000, 4), np.float32), np.eye(4, dtype=np.float32).repeat(1000, 0)
    tracemalloc.start()
    for _ in itertools.islice(nearest(queries, others, metric="dot", limit=1, batch_size=10), 30):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000  # all distances would take 48 MB


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([np.ones(2), None, None], r"docs\[1\] has no embedding \(2 have none\)"),
        ([np.ones(2), np.ones(3)], r"docs\[1\].embedding has shape \(3,\), others \(2,\)"),
        (np.array([[1.0, 2.0], [np.nan, 1.0]]), r"docs\[1\].embedding is not finite"),
        (np.array([[1.0, np.inf]]), r"docs\[0\].embedding is not finite"),
        (np.ones((2, 2, 2)), "not"),
        (np.ones(2), "not"),
        (np.array([["a", "b"]]), "not"),
        (np.ones((2, 2), np.complex64), "not"),
    ],
)
def test_embeddings_that_cannot_be_compared(column: np.ndarray, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        vectors(column, "docs")


def test_embeddings_of_several_types_can_be_compared() -> None:
    found = vectors([np.ones(2, np.float32), np.ones(2, np.float64)], "docs")
    assert found.shape == (2, 2)
    assert vectors([], "docs").shape == (0, 0)


def test_lengths_that_leave_float64_are_refused() -> None:
    with pytest.raises(ValidationError, match="too long"):
        list(nearest(np.full((1, 2), 1e200), np.ones((1, 2)), metric="dot", limit=1))


@pytest.mark.parametrize(("limit", "batch_size"), [(0, None), (-1, None), (1, 0)])
def test_limits(limit: int, batch_size: int | None) -> None:
    ones = np.ones((1, 2))
    with pytest.raises(ValidationError, match="at least 1"):
        list(nearest(ones, ones, metric="dot", limit=limit, batch_size=batch_size))
