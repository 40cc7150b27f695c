"""`dure bench` as a person runs it, made small."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DURE = str(Path(sys.executable).with_name("dure"))
# With one thread, times do not hang on which other programs run at the moment.
SETTINGS = {"DURE_SIMULATE_GPUS": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@pytest.mark.timeout(120)
def test_devices(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")
    run = subprocess.run(
        [DURE, "bench", "devices", "--quick", "--out", str(tmp_path / "results")],
        env={**os.environ, **SETTINGS},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert run.returncode == 0, run.stderr
    for problem in ("1. Products", "2. Reading and writing", "3. 100 products", "4. Twice", "5. What the check"):
        assert problem in run.stdout
    files = {path.suffix: path for path in (tmp_path / "results").iterdir()}
    assert files.keys() == {".json", ".txt", ".png"}
    assert all(str(path) in run.stdout for path in files.values())
    figures = json.loads(files[".json"].read_text(encoding="utf-8"))
    assert [device["device"] for device in figures["about"]["devices"]] == ["cpu(0)", "gpu(0)"]
    assert files[".txt"].read_text(encoding="utf-8").strip() in run.stdout
