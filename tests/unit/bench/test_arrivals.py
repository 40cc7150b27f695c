import numpy as np
import pytest

from dure.bench.arrivals import poisson


def test_moments_are_a_poisson_process() -> None:
    moments = poisson(1000.0, -2.0, 20.0, np.random.default_rng(1))
    gaps = np.diff(moments)
    assert len(moments) == pytest.approx(22_000, abs=4 * 22_000**0.5)
    assert gaps.min() >= 0.0
    # Gaps are exponential: as wide as they are long, and one in e is longer than the mean.
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)
    assert (gaps > gaps.mean()).mean() == pytest.approx(np.exp(-1), abs=0.015)
    assert -2.0 <= moments[0] < moments[-1] < 20.0


def test_the_number_changes_from_draw_to_draw_as_it_must() -> None:
    counts = [len(poisson(50.0, 0.0, 2.0, np.random.default_rng(seed))) for seed in range(400)]
    assert np.mean(counts) == pytest.approx(100.0, rel=0.03)
    assert np.var(counts) == pytest.approx(100.0, rel=0.3)


def test_the_same_seed_gives_the_same_moments() -> None:
    one, same, other = (poisson(30.0, 0.0, 2.0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.tolist() == same.tolist() != other.tolist()
