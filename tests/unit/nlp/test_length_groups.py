from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.nlp.length_groups import GroupLimits, group_by_length

LENGTHS = st.lists(st.integers(1, 300), max_size=80)
LIMITS = st.builds(GroupLimits, st.integers(0, 200), st.integers(1, 2000), st.integers(1, 40))


@given(LENGTHS, LIMITS)
def test_every_row_is_in_one_group_within_its_limits(lengths: list[int], limits: GroupLimits) -> None:
    groups = group_by_length(np.array(lengths, dtype=np.int64), limits)
    assert sorted(row for group in groups for row in group.tolist()) == list(range(len(lengths)))
    for group in groups:
        held = [lengths[row] for row in group.tolist()]
        assert held == sorted(held, reverse=True)
        if len(held) > 1:
            assert len(held) <= limits.max_rows
            assert len(held) * held[0] <= limits.max_tokens
            assert len(held) * held[0] - sum(held) <= limits.max_waste


@given(LENGTHS, LIMITS)
def test_a_group_ends_only_where_a_limit_says_so(lengths: list[int], limits: GroupLimits) -> None:
    groups = group_by_length(np.array(lengths, dtype=np.int64), limits)
    for group, following in pairwise(groups):
        held = [lengths[row] for row in [*group.tolist(), int(following[0])]]
        assert (
            len(held) > limits.max_rows
            or len(held) * held[0] > limits.max_tokens
            or len(held) * held[0] - sum(held) > limits.max_waste
        )


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (GroupLimits(0, 1000, 100), [[1, 4], [3], [0, 2]]),
        (GroupLimits(10, 1000, 100), [[1, 4, 3], [0, 2]]),
        (GroupLimits(1000, 1000, 100), [[1, 4, 3, 0, 2]]),
        (GroupLimits(1000, 60, 100), [[1, 4, 3], [0, 2]]),
        (GroupLimits(1000, 1000, 2), [[1, 4], [3, 0], [2]]),
    ],
)
def test_an_example(limits: GroupLimits, expected: list[list[int]]) -> None:
    groups = group_by_length(np.array([5, 20, 5, 12, 20]), limits)
    assert [group.tolist() for group in groups] == expected


def test_nothing_makes_no_group() -> None:
    assert group_by_length(np.array([], dtype=np.int64), GroupLimits(1, 1, 1)) == []
