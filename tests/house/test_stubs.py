"""The committed protobuf stubs are what `make proto` writes today."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import ROOT

GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py")


def stubs(folder: Path) -> dict[str, str]:
    found = [path for pattern in GENERATED for path in folder.rglob(pattern)]
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in found}


def test_stubs_are_up_to_date(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    options = [
        "--silent",
        "--old-file=.venv/.ready",
        f"PY={sys.executable}",
        f"PROTO_OUT={tmp_path}",
    ]
    run = subprocess.run([make, *options, "proto"], cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert run.returncode == 0, run.stderr
    assert stubs(ROOT / "src") == stubs(tmp_path), "run `make proto` and commit what it writes"
