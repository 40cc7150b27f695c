import numpy as np
import pytest

from dure.bench.bootstrap import (
    Estimate,
    block_length,
    correlation_time,
    estimate,
    mean_draws,
    percentile,
    percentile_draws,
)


def sojourn_times(rate: float, service_rate: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """Times in an M/M/1 queue, which are exponential with `service_rate - rate`; Lindley's recursion."""
    service = rng.exponential(1.0 / service_rate, count)
    steps = service[:-1] - rng.exponential(1.0 / rate, count - 1)
    walk = np.concatenate([[0.0], np.cumsum(steps)])
    waits: np.ndarray = walk - np.minimum.accumulate(walk) + service
    return waits


def test_a_percentile_is_a_sample_and_is_told_only_with_samples_beyond_it() -> None:
    values = np.arange(1000.0)[::-1]
    assert percentile(values, 0.5) == 499.0
    assert percentile(values, 0.99) == 989.0
    assert percentile(values[:499], 0.99) is None
    assert percentile(np.array([]), 0.5) is None


def test_intervals_hold_the_true_percentiles_of_a_queue() -> None:
    """M/M/1 at 60 % load, where requests that follow each other are alike."""
    truths = np.log([2.0, 10.0]) / 0.4
    held = np.zeros(2)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        values = sojourn_times(0.6, 1.0, 2000, rng)[500:]
        draws = percentile_draws(values, [0.5, 0.9], rng)
        for column, truth in enumerate(truths):
            found = estimate(float(np.quantile(values, (0.5, 0.9)[column])), draws[:, column])
            held[column] += found.low <= truth <= found.high
    # 95 of 100 are promised; of 30 with a chance of 0.95 each, fewer than 25 come once in 300 times.
    assert held.min() >= 25


def test_without_blocks_intervals_would_be_too_narrow() -> None:
    rng = np.random.default_rng(1)
    values = sojourn_times(0.8, 1.0, 4000, rng)
    whole = estimate(0.0, percentile_draws(values, [0.5], rng)[:, 0] - np.median(values))
    single = estimate(0.0, percentile_draws(values, [0.5], rng, length=1)[:, 0] - np.median(values))
    assert whole.high - whole.low > 2.0 * (single.high - single.low)


def test_correlation_time_of_a_process_for_which_it_is_known() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(size=40_000)
    assert correlation_time(noise) == pytest.approx(1.0, abs=0.1)
    assert block_length(noise) <= 7
    alike = np.empty_like(noise)
    alike[0] = noise[0]
    for number in range(1, len(noise)):
        alike[number] = 0.9 * alike[number - 1] + noise[number]
    assert correlation_time(alike) == pytest.approx(19.0, rel=0.2)  # (1 + 0.9) / (1 - 0.9), slightly less for ranks
    assert correlation_time(np.full(100, 0.5)) >= 1.0


def test_the_interval_of_a_mean_is_the_one_of_the_book() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(10.0, 2.0, 1600)
    found = estimate(float(values.mean()), mean_draws(values, rng))
    assert found.high - found.low == pytest.approx(2 * 1.96 * 2.0 / 40.0, rel=0.25)
    assert found.low < 10.0 < found.high


def test_one_sample_is_no_reason_to_fail() -> None:
    rng = np.random.default_rng(0)
    assert estimate(3.0, mean_draws(np.array([3.0]), rng)) == Estimate(3.0, 3.0, 3.0)
    assert percentile_draws(np.array([3.0]), [0.5], rng).tolist() == [[3.0]] * 1000


def test_intervals_apart() -> None:
    one = Estimate(1.0, 0.9, 1.1)
    assert one.apart_from(Estimate(2.0, 1.2, 3.0))
    assert not one.apart_from(Estimate(2.0, 1.0, 3.0))
    assert one.scaled(10.0) == Estimate(10.0, 9.0, 11.0)
