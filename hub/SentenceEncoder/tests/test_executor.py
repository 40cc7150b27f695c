"""The bundle behind a Flow, with a model that is written here."""

from pathlib import Path

import numpy as np
import pytest

from dure import Flow
from tests.tiny_model import HIDDEN_SIZE, write_tiny_model

BUNDLE = Path(__file__).resolve().parents[1]


@pytest.mark.timeout(180)  # the first to run imports two large libraries
def test_served_by_a_flow(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the extra `models` is not installed")
    model = str(write_tiny_model(tmp_path / "tiny"))
    with Flow().add(uses=str(BUNDLE), uses_with={"model": model}) as flow:
        docs = flow.post(on="/encode", inputs=["many", "hands"])
    assert docs.embeddings.shape == (2, HIDDEN_SIZE)
    np.testing.assert_allclose(np.linalg.norm(docs.embeddings, axis=1), 1, atol=1e-5)
