"""What is tracked runs on any machine: no path of the one it was written on."""

import shutil
import subprocess

import pytest

from tests.house.sources import ROOT

# Put together here, so that this file does not hold them itself.
MACHINE_PATHS = ["/" + path for path in ("work/", "root/", "opt/pypi", "opt/wheels", "tmp/bash_jobs")]

IN_CONTAINERS = ":/" + "root/.cache"
"""Where the tutorial mounts a cache; it is a path of a container."""


def test_nothing_tracked_names_a_machine_path() -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    patterns = [part for path in MACHINE_PATHS for part in ("-e", path)]
    command = [git, "-c", f"safe.directory={ROOT}", "grep", "-nIF", *patterns, "--", "."]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert run.returncode in (0, 1), run.stderr
    assert [line for line in run.stdout.splitlines() if IN_CONTAINERS not in line] == []
