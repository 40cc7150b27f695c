import pytest

from dure.bench.table import duration, rate, seconds, size, table, titled, within
from dure.bench.timing import Spread


@pytest.mark.parametrize(
    ("value", "text"),
    [(67.1e12, "67.1 TFLOP/s"), (1e9, "1 GFLOP/s"), (999.0, "999 FLOP/s"), (1.5e3, "1.50 kFLOP/s"), (0.0, "0 FLOP/s")],
)
def test_rates(value: float, text: str) -> None:
    assert rate(value, "FLOP/s") == text


def test_words_are_counted_in_full() -> None:
    assert rate(12345.6, "docs/s") == "12,346 docs/s"


@pytest.mark.parametrize(
    ("value", "text"), [(2.0, "2 s"), (0.0123, "12.3 ms"), (4.56e-6, "4.56 µs"), (7.0e-10, "0.70 ns")]
)
def test_durations(value: float, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(4, "4 B"), (2048, "2 KiB"), (3 * 2**19, "1.50 MiB"), (2**30, "1 GiB")])
def test_sizes(value: int, text: str) -> None:
    assert size(value) == text


def test_spreads_are_told_as_shares_of_the_median() -> None:
    spread = Spread(100.0, 90.0, 125.0, 5)
    assert within(spread, "docs/s") == "100 docs/s (-10% +25%)"
    assert duration(spread.scaled(1e-3)) == "100 ms (-10% +25%)"


def test_words_stand_left_and_figures_right() -> None:
    text = table(("name", "n"), [("a", "1"), ("long name", "10")])
    assert text == "name        n\na           1\nlong name  10"
    assert titled("T", text, "", "note").splitlines()[:2] == ["T", "-"]
    assert titled("T", "").splitlines() == ["T", "-"]
