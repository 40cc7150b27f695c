"""The GPU-Executor tutorial's own files, as they stand in its text but for the name of the package."""

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dure import Document, Flow
from dure.nlp.snapshot import resolve
from tests.e2e.programs import Program

TUTORIAL = Path(__file__).parents[2] / "examples" / "sentence_encoder" / "tutorial"
SENTENCE = "Using a GPU allows you to significantly speed up encoding."
MODEL = "all-MiniLM-L6-v2"
NUM_DOCS = 10_000
REQUEST_SIZE = 32

pytest.importorskip("sentence_transformers", reason="the tutorial's model needs the extra `models`")
pytestmark = pytest.mark.timeout(120)  # its libraries alone take ten seconds to import


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Copy the files; a folder of the model's name stands in for a download, which needs a network."""
    found = tmp_path / "SentenceEncoder"
    shutil.copytree(TUTORIAL, found)
    (found / MODEL).symlink_to(resolve(MODEL).folder)
    return found


@pytest.fixture
def running(folder: Path) -> Iterator[Program]:
    program = Program(folder / "main.py")
    try:
        yield program
    finally:
        program.end()


def test_the_files_are_those_of_the_tutorial() -> None:
    assert {path.name for path in TUTORIAL.glob("*.py")} == {"executor.py", "main.py", "main_docker.py"}
    main, executor = ((TUTORIAL / name).read_text(encoding="utf-8") for name in ("main.py", "executor.py"))
    assert "from dure import Document, Flow\n\nfrom executor import SentenceEncoder" in main
    assert "range(10_000)" in main
    assert SENTENCE in main
    assert "f.post(on='/encode', inputs=generate_docs, show_progress=True, request_size=32)" in main
    assert "__main__" not in main
    assert "from dure import DocumentArray, Executor, requests" in executor
    assert 'docs.get_attributes("text")' in executor


def test_its_program_begins_as_the_tutorial_shows(running: Program) -> None:
    """Up to the first lines of its progress: all of it takes too long for a quick test."""
    running.wait_for("Flow is ready to use!", timeout_s=50)
    assert re.search(r"executor0@\d+\[L\]:ready and listening", running.said())
    assert re.search(r"gateway@\d+\[L\]:ready and listening", running.said())
    assert re.search(r"Protocol: .*GRPC", running.said())
    assert re.search(r"Local access:.*:\d+", running.said())
    running.wait_for("Working...", timeout_s=30)
    running.process.send_signal(signal.SIGINT)
    running.wait(20)
    steps = re.search(r"Working\.\.\. ([\d,]+) steps", running.said())
    assert steps, running.said()
    assert int(steps[1].replace(",", "")) > 0
    assert running.left_after(2) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_its_program_runs_to_the_end(running: Program) -> None:
    assert running.wait(580) == 0, running.said()
    steps = -(-NUM_DOCS // REQUEST_SIZE)
    assert f"{steps} steps done in" in running.said()
    assert f"({NUM_DOCS:,} documents)" in running.said()
    assert running.left_after(2) == []


def test_its_executor_embeds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sentence_transformers import SentenceTransformer

    monkeypatch.chdir(folder)
    texts = [SENTENCE, "A sentence of another length, about something else.", ""]
    with Flow().add(uses=str(folder / "executor.py"), uses_with={"device": "cpu"}, timeout_ready_s=50) as flow:
        found = flow.post("/encode", [Document(text=text) for text in texts * 20], request_size=7).embeddings
    assert found.shape == (60, 384)
    expected = SentenceTransformer(str(folder / MODEL), device="cpu").encode(texts)
    np.testing.assert_allclose(found[:3], expected, atol=1e-5)
