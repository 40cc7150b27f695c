"""examples/frameworks: every Executor in a real Flow, held to what its model can do, and the whole program."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dure import Document, Flow
from dure.errors import ExecutorError

FOLDER = Path(__file__).parents[2] / "examples" / "frameworks"
# Of 500 images that the model has not seen, how many it names at least: what it names here, less 2 %. An untrained
# model names one in ten; scikit-learn's own linear model 0.91.
LEAST = {"pytorch": 0.94, "onnxruntime": 0.91, "tensorflow": 0.92, "jax": 0.91, "sklearn": 0.92, "numpy": 0.95}
LIBRARIES = {"pytorch": "torch"}
TIMEOUT_S = 240


def require(name: str) -> None:
    for library in (LIBRARIES.get(name, name), "sklearn"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"the extra `frameworks` is not installed: no {library}")


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    require("sklearn")
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    return (pixels[-500:] / 16).astype(np.float32).reshape(-1, 8, 8), digits[-500:]


@pytest.fixture(params=LEAST)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[str, Flow]]:
    name: str = request.param
    require(name)
    with Flow().add(uses=str(FOLDER / f"with_{name}.py"), name=name) as flow:
        yield name, flow


@pytest.mark.timeout(TIMEOUT_S)
def test_an_executor_knows_digits(served: tuple[str, Flow], images: tuple[np.ndarray, np.ndarray]) -> None:
    name, flow = served
    pixels, digits = images
    docs = flow.post(on="/classify", inputs=[Document(tensor=image) for image in pixels], request_size=50)
    found = np.asarray([doc.tags["digit"] for doc in docs])
    assert (found == digits).mean() >= LEAST[name]
    scores = np.asarray([[doc.scores[str(digit)] for digit in range(10)] for doc in docs])
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-4)
    assert (scores.argmax(1) == found).all()

    # One alone, in a batch of a size of its own, is told the same as among others.
    alone = flow.post(on="/classify", inputs=[Document(tensor=pixels[0])])[0]
    assert alone.scores == pytest.approx(docs[0].scores, abs=1e-4)
    with pytest.raises(ExecutorError, match=r"8x8 pixels, not of shape \(3, 3\)"):
        flow.post(on="/classify", inputs=[Document(tensor=np.zeros((3, 3), np.float32))])


@pytest.mark.timeout(TIMEOUT_S + 10)
def test_the_program_compares_those_that_are_there(tmp_path: Path) -> None:
    require("sklearn")
    run = subprocess.run(
        [sys.executable, str(FOLDER / "main.py")],
        cwd=tmp_path,
        env={**os.environ, "DURE_EXAMPLE_DOCS": "500"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    rows = re.findall(r"^([a-z]+|all, by vote) +(0\.\d{3}|1\.000) +([\d,]+)$", run.stdout, re.MULTILINE)
    accuracy = {name: float(right) for name, right, _ in rows}
    left_out = re.findall(r"^(\w+) is left out", run.stdout, re.MULTILINE)
    assert accuracy.keys() - {"all, by vote"} == LEAST.keys() - set(left_out)
    assert len(accuracy) >= 3, "two frameworks in one Flow, and their vote"
    for name, right in accuracy.items():
        assert right >= LEAST.get(name, 0.93), name
