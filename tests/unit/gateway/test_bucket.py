"""Token buckets: never more than the rate, and never more waiting than needed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.gateway.bucket import Bucket

STEPS = st.lists(st.tuples(st.floats(0, 2), st.floats(0, 20)), max_size=60)


def test_a_second_s_worth_at_once_then_the_rate() -> None:
    bucket = Bucket(10, 0.0)
    assert [bucket.take(1, 0.0) for _ in range(10)] == [0.0] * 10
    assert bucket.take(1, 0.0) == pytest.approx(0.1)
    assert bucket.take(1, 0.05) == pytest.approx(0.05)
    assert bucket.take(1, 0.1) == 0


def test_a_slow_rate_lets_one_through() -> None:
    bucket = Bucket(0.1, 5.0)
    assert bucket.take(1, 5.0) == 0
    assert bucket.take(1, 5.0) == pytest.approx(10)


def test_what_is_larger_than_the_bucket_is_paid_for_afterwards() -> None:
    bucket = Bucket(10, 0.0)
    assert bucket.take(35, 0.0) == 0
    assert bucket.level == -25
    assert bucket.take(0, 0.0) == pytest.approx(2.5)
    assert bucket.take(10, 3.5) == 0


def test_the_clock_may_stand_still_or_go_back() -> None:
    bucket = Bucket(1, 10.0)
    assert bucket.take(1, 10.0) == 0
    assert bucket.take(1, 9.0) == pytest.approx(1)


@given(st.floats(0.1, 100), STEPS)
def test_no_window_of_time_has_more_than_its_share(rate: float, steps: list[tuple[float, float]]) -> None:
    bucket, now, taken = Bucket(rate, 0.0), 0.0, []
    size = max(rate, 1.0)
    for pause, amount in steps:
        now += pause
        if bucket.take(amount, now) == 0:
            taken.append((now, amount))
    for i, (begin, _) in enumerate(taken):
        for j in range(i, len(taken)):
            total = sum(amount for _, amount in taken[i : j + 1])
            overdraft = max(0.0, taken[j][1] - size)
            assert total <= size + rate * (taken[j][0] - begin) + overdraft + 1e-6


@given(st.floats(0.1, 100), STEPS, st.floats(0, 200))
def test_after_the_told_time_it_is_let_through_and_not_before(
    rate: float, steps: list[tuple[float, float]], amount: float
) -> None:
    bucket, now = Bucket(rate, 0.0), 0.0
    for pause, one in steps:
        now += pause
        bucket.take(one, now)
    wait_s = bucket.take(amount, now)
    if wait_s > 1e-6:
        assert bucket.take(amount, now + wait_s * 0.99) > 0
        assert bucket.take(amount, now + wait_s + 1e-6) == 0
