"""The tests of containers once more, with Podman in the place of the Docker Engine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.workplace import HERE, ROOT, script

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    up = script(HERE / "podman.sh", "up", tmp_path, timeout_s=60)
    if up.returncode:
        pytest.skip(f"PODMAN WAS NOT TESTED: {up.stdout.strip() or up.stderr.strip()}")
    yield f"unix://{tmp_path}/podman.sock"
    script(HERE / "podman.sh", "down", tmp_path, timeout_s=60)


def test_the_same_tests_pass_on_podman(host: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "slow", "-q", "-p", "no:cacheprovider", "tests/e2e/test_containers.py"],
        cwd=ROOT,
        env={**os.environ, "DOCKER_HOST": host},
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert not done.returncode, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout or "100%" in done.stdout
    assert "NO CONTAINERS WERE TESTED" not in done.stdout
