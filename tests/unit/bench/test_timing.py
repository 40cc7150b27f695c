import pytest

from dure.bench.timing import Effort, Spread, compared, measured, ratio, timed, warmed_up
from tests.unit.bench.clocks import StandingClock

EFFORT = Effort(sample_s=0.02, point_s=0.1, min_samples=3, max_samples=10)


def test_a_sample_is_as_many_calls_as_take_long_enough() -> None:
    clock = StandingClock()
    assert warmed_up(clock.work(1e-5), clock, EFFORT) * 1e-5 == pytest.approx(0.022, rel=0.01)


def test_the_slow_first_call_does_not_count() -> None:
    clock = StandingClock()
    found = measured(clock.work(5.0, 0.001), clock, EFFORT)
    assert found.median == pytest.approx(0.001)
    assert found.greatest == pytest.approx(0.001)


def test_long_work_is_measured_as_often_as_it_must_be() -> None:
    clock = StandingClock()
    found = measured(clock.work(1.0), clock, EFFORT)
    assert found.num_samples == 3
    assert clock.time_s == pytest.approx(5.0)  # two calls before


def test_samples_end_with_the_time_for_the_point() -> None:
    clock = StandingClock()
    found = measured(clock.work(0.021), clock, EFFORT)
    assert found.num_samples == 5


def test_least_and_greatest_are_kept() -> None:
    clock = StandingClock()
    found = measured(clock.work(1.0, 1.0, 2.0, 4.0, 3.0), clock, EFFORT)
    assert (found.median, found.least, found.greatest) == pytest.approx((3.0, 2.0, 4.0))


def test_the_device_is_waited_for_before_a_sample() -> None:
    clock = StandingClock()
    timed(clock.work(1.0), clock)
    assert clock.num_waits == 1


def test_a_rate_turns_the_spread_around() -> None:
    seconds = Spread.of([1.0, 2.0, 4.0])
    assert seconds.per_second(8.0) == Spread(4.0, 2.0, 8.0, 3)


def test_works_are_measured_in_turn_and_divided_pair_by_pair() -> None:
    clock = StandingClock()
    order: list[str] = []

    def named(name: str, seconds: float) -> None:
        order.append(name)
        clock.time_s += seconds * (1 + len(order))  # the machine becomes slower all the time

    works = {"a": lambda: named("a", 1.0), "b": lambda: named("b", 2.0)}
    rounds = compared(works, clock, EFFORT)
    assert order[4:] == ["a", "b", "b", "a", "a", "b"]
    assert [len(times) for times in rounds.values()] == [3, 3]
    assert ratio(rounds["b"], rounds["a"]).median == pytest.approx(2.0, rel=0.3)
