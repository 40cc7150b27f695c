"""What holds for every test: no network, no settings of whoever runs it, no process left behind."""

import os
from collections.abc import Iterator

import psutil
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
for name in [name for name in os.environ if name.startswith("DURE_")]:
    del os.environ[name]


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_running() -> Iterator[None]:
    yield
    children = psutil.Process().children(recursive=True)
    # multiprocessing's own tracker ends with the process that started it
    ours = [child for child in children if "resource_tracker" not in command_line(child)]
    left = [command_line(child) for child in psutil.wait_procs(ours, timeout=5)[1]]
    assert not left, "tests left processes behind:\n" + "\n".join(left)
