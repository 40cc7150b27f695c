from typing import Any

import pytest

from dure.bench.bib import BibReport, PredictPoint, TrainPoint
from dure.bench.bib_tables import markdown_of, text_of
from dure.bench.timing import Spread

ABOUT: dict[str, Any] = {
    "date": "2026-11-21",
    "commit": "abc",
    "cores": 2,
    "versions": {"torch": "2.13.0"},
    "devices": [{"device": "cpu(0)", "name": "a CPU"}, {"device": "gpu(0)", "name": "a GPU"}],
}


def spread(value: float) -> Spread:
    return Spread(value, value * 0.9, value * 1.1, 5)


def train_point(device: str, elapsed_s: float) -> TrainPoint:
    return TrainPoint(
        device=device, task="tc", data="nsmc", num_rows=20_000, elapsed_s=elapsed_s, scores={"accuracy": 0.861}
    )


def predict_point(device: str, load_s: float, predict_s: float) -> PredictPoint:
    return PredictPoint(
        device=device,
        task="tc",
        data="nsmc",
        num_texts=5000,
        load_s=spread(load_s),
        predict_s=spread(predict_s),
        service_s=spread(predict_s * 1.25),
        against_library=spread(0.8),
    )


@pytest.fixture
def report() -> BibReport:
    return BibReport(
        ABOUT,
        trainings=[train_point("cpu(0)", 100.0), train_point("gpu(0)", 20.0)],
        predictions=[predict_point("cpu(0)", 1.0, 9.0), predict_point("gpu(0)", 3.0, 1.0)],
        failures=["gpu(0): train, named entities: out of memory"],
    )


def test_ratios_stand_beside_the_posts(report: BibReport) -> None:
    rows = [line for line in text_of(report).splitlines() if "gpu(0)" in line]
    (train_row,) = (line for line in rows if "accuracy" in line)
    (predict_row,) = (line for line in rows if "texts/s" in line)
    assert "5.00 x" in train_row  # 100 s against 20 s
    assert "12.78 x" in train_row  # 2173.3 s against 170.1 s
    assert "accuracy 0.861" in train_row
    assert "9.00 x" in predict_row  # without loading
    assert "2.50 x" in predict_row  # 10 s against 4 s, with loading
    assert "9.63 x" in predict_row  # 72.2 s against 7.5 s; the post rounds it down
    assert "5,000 texts/s" in predict_row
    assert "0.80 x (0.72 to 0.88)" in predict_row


def test_markdown_has_the_same_cells(report: BibReport) -> None:
    rows = [line for line in markdown_of(report).splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows[:4]} == {9}
    assert {row.count("|") for row in rows[4:]} == {11}
    assert "out of memory" in markdown_of(report)


def test_one_device_has_no_ratios(report: BibReport) -> None:
    alone = BibReport(ABOUT, trainings=report.trainings[:1], predictions=report.predictions[:1])
    assert "12.78" not in text_of(alone)
    assert "Left out" not in text_of(alone)
