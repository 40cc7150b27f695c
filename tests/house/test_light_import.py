"""`import dure` costs next to nothing: it loads none of the libraries that cost time."""

import subprocess
import sys

HEAVY = "numpy torch grpc docker ray fastapi transformers rich click"


def test_import_loads_nothing_heavy() -> None:
    program = f"import dure, sys; print(*sys.modules.keys() & set({HEAVY.split()}))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []
