"""The bundle behind a Flow, with a tagger that is trained here."""

from pathlib import Path

import pytest

from dure import Flow
from tests.trained_models import train_tagger

BUNDLE = Path(__file__).resolve().parents[1]


@pytest.mark.timeout(180)  # the first to run imports a large library
def test_served_by_a_flow(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra `models` is not installed")
    train_tagger(tmp_path / "home", "names")
    with Flow().add(uses=str(BUNDLE), uses_with={"model": "names", "home": str(tmp_path / "home")}) as flow:
        docs = flow.post(on="/predict", inputs=["anna went to oslo", ""])
    found = [(entity["text"], entity["type"]) for entity in docs[0].tags["entities"]]
    assert found == [("anna", "PER"), ("oslo", "LOC")]
    assert docs[1].tags["entities"] == []
