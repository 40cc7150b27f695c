"""The bundle behind a Flow, with a classifier that is trained here."""

from pathlib import Path

import pytest

from dure import Flow
from tests.trained_models import train_classifier

BUNDLE = Path(__file__).resolve().parents[1]


@pytest.mark.timeout(180)  # the first to run imports a large library
def test_served_by_a_flow(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra `models` is not installed")
    train_classifier(tmp_path / "home", "weather")
    with Flow().add(uses=str(BUNDLE), uses_with={"model": "weather", "home": str(tmp_path / "home")}) as flow:
        docs = flow.post(on="/predict", inputs=["the soup and the bread", "a storm and a cloud"])
    assert [doc.tags["label"] for doc in docs] == ["food", "rain"]
    assert sum(docs[0].tags["probabilities"].values()) == pytest.approx(1, abs=1e-5)
