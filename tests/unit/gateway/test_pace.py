"""How long calls take: a line through what was seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.gateway.pace import Pace


def seen(*calls: tuple[int, float]) -> Pace:
    pace = Pace()
    for rows, seconds in calls:
        pace.saw(rows, seconds)
    return pace


def test_nothing_is_known_before_anything_was_seen() -> None:
    assert Pace().expected_s(5) == 0


@given(
    per_call=st.floats(0.001, 1),
    per_row=st.floats(0.0001, 1),
    sizes=st.lists(st.integers(1, 64), min_size=2, max_size=200).filter(lambda sizes: len(set(sizes)) > 1),
)
def test_a_straight_line_is_found_again(per_call: float, per_row: float, sizes: list[int]) -> None:
    pace = seen(*[(rows, per_call + per_row * rows) for rows in sizes])
    assert pace.expected_s(32) == pytest.approx(per_call + per_row * 32, rel=1e-6)
    assert pace.expected_s(100, 7) == pytest.approx(7 * per_call + per_row * 100, rel=1e-6)


def test_calls_of_one_size_say_nothing_of_what_a_document_costs() -> None:
    pace = seen(*[(1, 0.5)] * 10)
    assert pace.expected_s(64) == pytest.approx(0.5)
    assert pace.expected_s(64, 64) == pytest.approx(32)


@given(calls=st.lists(st.tuples(st.integers(1, 1000), st.floats(1e-6, 100)), min_size=1, max_size=50))
def test_no_time_is_less_than_nothing_and_more_work_takes_no_less(calls: list[tuple[int, float]]) -> None:
    pace = seen(*calls)
    assert -1e-9 <= pace.expected_s(1) <= pace.expected_s(2) + 1e-9 <= pace.expected_s(2, 2) + 2e-9


def test_what_is_long_past_is_forgotten() -> None:
    pace = seen(*[(1, 10.0)] * 100, *[(1, 1.0)] * 1000)
    assert pace.expected_s(1) == pytest.approx(1.0, rel=0.01)
