import numpy as np
import pytest

from dure.bench.saturation import Level, knee, sustained

RATES = np.linspace(0.1, 0.9, 9)


def level(offered: float, answered: float, latency_s: float, failed: float = 0.0, *, grows: bool = False) -> Level:
    return Level(offered, answered, latency_s, failed, grows)


def test_the_knee_of_random_service_is_at_half_the_capacity() -> None:
    """M/M/1: latency 1 / (1 - load), so rate over latency is load x (1 - load)."""
    found = knee([level(rate, rate, 1.0 / (1.0 - rate)) for rate in RATES])
    assert found is not None
    assert found.offered == RATES[4]


def test_the_knee_of_a_service_that_batches_is_where_latency_begins_to_rise() -> None:
    flat = [level(rate, rate, 1.0) for rate in RATES[:8]]
    found = knee([*flat, level(0.9, 0.85, 8.0)])
    assert found == flat[-1]


STOPS = [level(300.0, 280.0, 0.5), level(300.0, 299.0, 0.5, grows=True), level(300.0, 299.0, 0.5, failed=0.02)]


@pytest.mark.parametrize("stop", STOPS, ids=["answers are missing", "a queue grows", "requests fail"])
def test_sustained_is_the_highest_rate_up_to_which_all_were_kept_up_with(stop: Level) -> None:
    levels = [level(400.0, 399.0, 0.03), level(100.0, 99.8, 0.01), stop, level(200.0, 199.0, 0.02)]
    assert sustained(levels) == levels[3]


def test_nothing_is_named_where_nothing_was_kept_up_with() -> None:
    assert sustained([level(100.0, 50.0, 1.0)]) is None
    assert knee([level(100.0, 0.0, 0.0, failed=1.0)]) is None
    assert knee([]) is None
