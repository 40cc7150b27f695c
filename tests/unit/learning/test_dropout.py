import pytest
import torch

from dure.learning.dropout import Dropout, DropoutRates


def test_dropout_keeps_the_mean_and_repeats_itself() -> None:
    def dropped() -> torch.Tensor:
        rates = DropoutRates(features=0.3, names=0.0, values=0.5)
        return Dropout(rates, [], torch.Generator().manual_seed(1)).of_reading(torch.ones(100, 1000))

    assert torch.equal(dropped(), dropped())
    assert set(dropped().flatten().tolist()) == {0.0, 2.0}
    assert float(dropped().mean()) == pytest.approx(1, abs=0.02)


def test_names_are_dropped_all_at_once_and_nothing_stays_nothing() -> None:
    rows = torch.ones(1000, 4, dtype=torch.int32)
    rows[:, 3] = 0
    rates = DropoutRates(features=0.0, names=0.25, values=0.0)
    kept = Dropout(rates, [0, 2], torch.Generator().manual_seed(1)).of_features(rows)
    assert torch.equal(kept[:, 0], kept[:, 2])
    assert float(kept[:, 0].mean()) == pytest.approx(0.75, abs=0.05)
    assert kept[:, 1].all()
    assert not kept[:, 3].any()
