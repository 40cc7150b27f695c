import numpy as np
import pytest

from dure.bench.steadiness import course

AT = np.linspace(0.0, 10.0, 2000, endpoint=False)


def verdict(latency: np.ndarray) -> str:
    return course(AT, latency, 10.0, np.random.default_rng(0)).verdict


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(4.0, 0.25, len(AT))


def test_chance_alone_is_steady() -> None:
    assert [verdict(noise(seed)) for seed in range(10)].count("steady") >= 9


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (1.0 + AT, "rising"),
        (1.0 + 2.0 * np.exp(-AT), "falling"),
        (np.where((AT > 4.0) & (AT < 6.0), 2.0, 1.0), "changing"),
        (1.0 + 0.005 * AT, "steady"),
        (np.where((AT > 4.0) & (AT < 4.1), 50.0, 1.0), "steady"),
    ],
    ids=["a queue that grows", "warming up", "disturbed", "less than counts", "a stall, which the percentiles tell"],
)
def test_change_is_seen(shape: np.ndarray, expected: str) -> None:
    assert verdict(shape * noise()) == expected


def test_a_queue_grows_only_where_latency_multiplies() -> None:
    rng = np.random.default_rng(0)
    assert course(AT, (1.0 + AT) * noise(), 10.0, rng).queue_grows
    slower = course(AT, (1.0 + 0.06 * AT) * noise(), 10.0, rng)
    assert (slower.verdict, slower.queue_grows) == ("rising", False)


def test_a_pure_slope_is_rising_though_all_samples_hang_together() -> None:
    assert verdict(AT / 10.0) == "rising"


def test_slow_chance_is_not_taken_for_change() -> None:
    """A walk that comes back: within the run it forgets itself but a few times."""
    rng = np.random.default_rng(2)
    values = np.zeros(len(AT))
    for number in range(1, len(AT)):
        values[number] = 0.99 * values[number - 1] + rng.normal()
    assert verdict(np.exp(values / 20.0)) in ("too few", "steady")


def test_windows_are_told_and_a_few_requests_say_nothing() -> None:
    found = course(AT, noise(), 10.0, np.random.default_rng(0))
    assert [window.start_s for window in found.windows] == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert sum(window.num_answered for window in found.windows) == 2000
    few = course(AT[:30], noise()[:30], 10.0, np.random.default_rng(0))
    assert (few.verdict, few.windows) == ("too few", [])
    assert course(np.array([]), np.array([]), 10.0, np.random.default_rng(0)).verdict == "too few"
