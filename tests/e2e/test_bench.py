"""`dure bench` as a person runs it, made small."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny_model import write_tiny_model

ROOT = Path(__file__).parents[2]
DURE = str(Path(sys.executable).with_name("dure"))
# With one thread, times do not hang on which other programs run at the moment.
TIMEOUT_S = 240
SETTINGS = {"DURE_SIMULATE_GPUS": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def run(*command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **SETTINGS, **settings}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=TIMEOUT_S)


@pytest.mark.timeout(TIMEOUT_S + 10)
def test_devices(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")
    done = run(DURE, "bench", "devices", "--quick", "--out", str(tmp_path / "results"))
    assert done.returncode == 0, done.stderr
    for problem in ("1. Products", "2. Reading and writing", "3. 100 products", "4. Twice", "5. What the check"):
        assert problem in done.stdout
    files = {path.suffix: path for path in (tmp_path / "results").iterdir()}
    assert files.keys() == {".json", ".txt", ".png"}
    assert all(str(path) in done.stdout for path in files.values())
    figures = json.loads(files[".json"].read_text(encoding="utf-8"))
    assert [device["device"] for device in figures["about"]["devices"]] == ["cpu(0)", "gpu(0)"]
    assert files[".txt"].read_text(encoding="utf-8").strip() in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_S + 10)
def test_encode_runs_both_executors_in_flows(tmp_path: Path) -> None:
    for library in ("matplotlib", "sentence_transformers"):
        pytest.importorskip(library, reason="the extras `bench` and `models` are not installed")
    model = write_tiny_model(tmp_path / "tiny")
    command = (DURE, "bench", "encode", "--quick", "--device", "cpu", "--docs", "64", "--model", str(model))
    done = run(*command, "--out", str(tmp_path / "results"))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    for part in ("1. The tutorial's job", "2. The loop", "3. The loop", "4. SentenceEncoder without a Flow"):
        assert part in done.stdout
    files = {path.suffix: path for path in (tmp_path / "results").iterdir()}
    assert files.keys() == {".json", ".txt", ".png"}
    jobs = json.loads(files[".json"].read_text(encoding="utf-8"))["jobs"]
    assert [job["way"] for job in jobs] == [
        "plain PyTorch, batches of 256",
        "the tutorial's Executor",
        "SentenceEncoder",
    ]
    assert all(job["steps_per_s"]["median"] == pytest.approx(job["docs_per_s"]["median"] / 32) for job in jobs)


def test_the_gpu_program_runs_from_the_sources_and_says_what_is_missing(tmp_path: Path) -> None:
    program = (sys.executable, "-m", "dure.bench.gpu", "--out", str(tmp_path / "results"))
    done = run(*program, PYTHONPATH=str(ROOT / "src"), DURE_SIMULATE_GPUS="0")
    assert done.returncode == 1
    assert done.stderr == "There is no GPU to measure: DURE_SIMULATE_GPUS is 0.\n"
    assert done.stdout == ""
