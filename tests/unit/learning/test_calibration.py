"""Temperatures: fitted where the answer is known."""

import pytest
import torch

from dure.learning.calibration import calibration_error, fit_temperature


def drawn(temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that are `temperature` times too large for the classes that are drawn by them."""
    chance = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 4, generator=chance, dtype=torch.float64) * 2
    gold = torch.multinomial(logits.softmax(1), 1, generator=chance)[:, 0]
    return logits * temperature, gold


@pytest.mark.parametrize("temperature", [0.1, 1.0, 7.0])
def test_the_temperature_that_was_drawn_with_is_found(temperature: float) -> None:
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.05)


def test_calibration_brings_the_error_down() -> None:
    logits, gold = drawn(5.0)
    before, after = calibration_error(logits, gold), calibration_error(logits / fit_temperature(logits, gold), gold)
    assert before > 0.2
    assert after < 0.02


def test_without_texts_nothing_is_changed() -> None:
    assert fit_temperature(torch.empty(0, 3), torch.empty(0, dtype=torch.long)) == 1.0


def test_logits_that_are_always_right_give_a_number() -> None:
    assert 0 < fit_temperature(torch.eye(3) * 4, torch.arange(3)) < 1
