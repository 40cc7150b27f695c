import numpy as np

from dure.bench.saturation import Level, knee, sustained

RATES = np.linspace(0.1, 0.9, 9)


def level(offered: float, answered: float, latency_s: float, failed: float = 0.0, *, rising: bool = False) -> Level:
    return Level(offered, answered, latency_s, failed, rising)


def test_the_knee_of_random_service_is_at_half_the_capacity() -> None:
    """M/M/1: latency 1 / (1 - load), so rate over latency is load x (1 - load)."""
    found = knee([level(rate, rate, 1.0 / (1.0 - rate)) for rate in RATES])
    assert found is not None
    assert found.offered == RATES[4]


def test_the_knee_of_a_service_that_batches_is_where_latency_begins_to_rise() -> None:
    flat = [level(rate, rate, 1.0) for rate in RATES[:8]]
    found = knee([*flat, level(0.9, 0.85, 8.0)])
    assert found == flat[-1]


def test_sustained_is_the_highest_rate_that_was_kept_up_with() -> None:
    levels = [
        level(100.0, 99.8, 0.01),
        level(200.0, 199.0, 0.02),
        level(300.0, 298.0, 0.5, rising=True),
        level(400.0, 399.0, 0.03, failed=0.02),
        level(500.0, 310.0, 2.0),
    ]
    assert sustained(levels) == levels[1]
    assert knee(levels) is not None


def test_nothing_is_named_where_nothing_was_kept_up_with() -> None:
    assert sustained([level(100.0, 50.0, 1.0)]) is None
    assert knee([level(100.0, 0.0, 0.0, failed=1.0)]) is None
    assert knee([]) is None
