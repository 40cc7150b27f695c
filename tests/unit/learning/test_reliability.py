import pytest

from dure.learning.reliability import reliability


def test_predictions_are_put_into_bins_by_their_scores() -> None:
    found = reliability([0.95, 0.91, 1.0, 0.55, 0.52], [True, True, False, True, False])
    assert [one.count for one in found.bins] == [2, 3]
    assert [one.accuracy for one in found.bins] == pytest.approx([0.5, 2 / 3])
    assert found.bins[0].mean_score == pytest.approx(0.535)
    assert found.error == pytest.approx((2 * 0.035 + 3 * (2.86 / 3 - 2 / 3)) / 5)


def test_scores_that_are_probabilities_have_no_error() -> None:
    assert reliability([0.75] * 4, [True, True, True, False]).error == 0


def test_no_predictions() -> None:
    assert reliability([], []).bins == ()
