import numpy as np
import pytest
import torch

from dure.learning.dropout import Dropout, DropoutRates
from dure.learning.tagger_network import (
    BITS,
    KnownFeatures,
    Layout,
    Sizes,
    TaggerNetwork,
    places,
)

SIZES = Sizes(rows=20, columns=3, readers=2, dim=4, hidden=5, num_types=2)


@pytest.fixture
def network() -> TaggerNetwork:
    torch.manual_seed(0)
    network = TaggerNetwork(SIZES)
    network.table[:, 1:].normal_()
    return network.eval()


def test_rare_features_have_no_row_and_the_others_one_each() -> None:
    features = np.random.default_rng(0).integers(0, 2**63, 100).astype(np.uint64) * np.uint64(2)
    counts = np.bincount(np.repeat(places(features), np.arange(100) % 4), minlength=2**BITS)
    known = KnownFeatures.counted(counts, 2)
    rows = known.rows(features.reshape(10, 10)).ravel()
    assert (rows[np.arange(100) % 4 < 2] == 0).all()
    assert sorted(rows[rows > 0].tolist()) == list(range(1, 51))
    assert known.num_rows == 51
    assert np.array_equal(KnownFeatures(known.marks).rows(features), rows)


def test_padding_changes_nothing(network: TaggerNetwork) -> None:
    lengths = [3, 9, 1]
    rows = torch.randint(0, SIZES.rows, (sum(lengths), SIZES.columns))
    with torch.no_grad():
        together = network(rows, network.table, Layout.of(torch.tensor(lengths)))
        assert together.shape == (9, 3, 5)
        for number, part in enumerate(torch.split(rows, lengths)):
            alone = network(part, network.table, Layout.of(torch.tensor([len(part)])))
            torch.testing.assert_close(together[: len(part), number], alone[:, 0])
            assert not together[len(part) :, number].any()


def test_both_ends_are_read(network: TaggerNetwork) -> None:
    rows = torch.randint(1, SIZES.rows, (7, SIZES.columns))
    layout = Layout.of(torch.tensor([7]))
    with torch.no_grad():
        before = network(rows, network.table, layout)
        for changed in (0, 6):
            other = rows.clone()
            other[changed] = (other[changed] + 1) % SIZES.rows
            after = network(other, network.table, layout)
            assert (before[:, 0] - after[:, 0]).abs().amax(1).min() > 1e-6


def test_the_mean_of_the_readers_is_what_counts(network: TaggerNetwork) -> None:
    rows = torch.randint(0, SIZES.rows, (5, SIZES.columns))
    layout = Layout.of(torch.tensor([2, 3]))
    with torch.no_grad():
        mean = network(rows, network.table, layout)
        each = network(rows, network.table, layout, Dropout(DropoutRates(0.0, 0.0, 0.0), [], torch.Generator()))
    torch.testing.assert_close(mean, (each[:, :2] + each[:, 2:]) / 2)
