"""What a client may send."""

from typing import Any

import pytest

from dure.errors import RateLimited
from dure.gateway.limits import Amounts, Limits, Meter


def meter(**limits: Any) -> Meter:
    return Meter("it", Limits(**limits), 0.0)


@pytest.mark.parametrize(
    ("limits", "amounts", "times"),
    [
        ({"max_requests_per_s": 3}, (1, 0, 0, 0), 3),
        ({"max_rows_per_s": 8}, (1, 4, 0, 0), 2),
        ({"max_bytes_per_s": 100}, (1, 4, 25, 0), 4),
        ({"max_tokens_per_s": 90}, (1, 4, 25, 30), 3),
        ({"max_concurrent": 2}, (1, 0, 0, 0), 2),
    ],
)
def test_each_limit_holds(limits: Any, amounts: Amounts, times: int) -> None:
    one = meter(**limits)
    for _ in range(times):
        one.take(amounts, 0.0, one_more=True)
    with pytest.raises(RateLimited, match=next(iter(limits))) as failure:
        one.take(amounts, 0.0, one_more=True)
    assert failure.value.retry_after_s > 0
    if "max_concurrent" in limits:
        one.leave(1, 0.5)
    one.take(amounts, failure.value.retry_after_s, one_more=True)


def test_what_is_refused_is_not_counted() -> None:
    one = meter(max_requests_per_s=1, max_rows_per_s=5, max_bytes_per_s=10)
    one.take((0, 5, 10, 0), 0.0, one_more=False)
    with pytest.raises(RateLimited, match="max_rows_per_s"):
        one.take((1, 5, 1, 0), 0.0, one_more=True)
    assert one.num_running == 0
    one.take((1, 0, 0, 0), 0.0, one_more=True)


def test_what_was_counted_can_be_given_back() -> None:
    one = meter(max_requests_per_s=1, max_concurrent=1)
    one.take((1, 0, 0, 0), 0.0, one_more=True)
    one.give_back((1, 0, 0, 0), one_more=True)
    one.take((1, 0, 0, 0), 0.0, one_more=True)


def test_who_is_in_debt_is_refused_before_it_is_known_what_it_sends() -> None:
    one = meter(max_bytes_per_s=10)
    one.take((0, 1, 30, 0), 0.0, one_more=False)
    with pytest.raises(RateLimited, match=r"try again in 2 s"):
        one.take((1, 0, 0, 0), 0.0, one_more=True)


def test_who_has_sent_nothing_of_late_can_be_forgotten() -> None:
    one = meter(max_requests_per_s=10)
    one.take((1, 0, 0, 0), 0.0, one_more=True)
    assert not one.is_idle(10.0)
    one.leave(1, 0.1)
    assert one.is_idle(10.0)


def test_no_limit_is_none() -> None:
    assert not Limits().is_any
    assert Limits(max_concurrent=1).is_any
