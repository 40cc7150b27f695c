"""Every example runs, made small."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NUM_DOCS = 64
TIMEOUT_S = 240
LONG = ("patterns", "frameworks")
MAINS = [
    pytest.param(main, id=main.parent.name, marks=[pytest.mark.slow] if main.parent.name in LONG else [])
    for main in sorted(EXAMPLES.glob("*/main.py"))
]


def test_there_are_examples_and_each_has_a_main() -> None:
    folders = [path for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert folders
    assert [str(folder) for folder in folders if not (folder / "main.py").exists()] == []


@pytest.mark.timeout(TIMEOUT_S + 10)
@pytest.mark.parametrize("main", MAINS)
def test_example_runs(main: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(main)],
        cwd=tmp_path,
        env={**os.environ, "DURE_EXAMPLE_DOCS": str(NUM_DOCS), "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    assert run.stdout.strip(), "an example shows what it did"
    assert "Traceback" not in run.stderr
