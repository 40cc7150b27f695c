"""What ran, and on what: commit, processor, versions, and how busy the machine was with other things."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "dure",
    "numpy",
    "msgspec",
    "uvloop",
    "uvicorn",
    "httptools",
    "grpcio",
    "protobuf",
    "torch",
    "sentence-transformers",
    "transformers",
)


def cpu_model() -> str:
    """The processor's name, as the system tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def num_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def commit() -> str:
    """The checkout's commit, "+changes" where tracked files differ from it, or "unknown"."""
    git = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        dirty = subprocess.run([*git, "status", "--porcelain", "-uno", "--", "src"], capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")


def versions() -> dict[str, str]:
    """Python's version and those of the packages that matter here and are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe() -> dict[str, Any]:
    """Everything above as plain values."""
    return {
        "commit": commit(),
        "cpu": cpu_model(),
        "cores": num_cores(),
        "system": f"{platform.system()} {platform.release()}",
        "implementation": sys.implementation.name,
        "versions": versions(),
    }


def slug(device: str = "") -> str:
    """A short name of the machine for file names."""
    text = f"{device or cpu_model()} {num_cores()} cores"
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


class Bystanders:
    """The share of the machine that others used between making this and asking.

    It is read when all processes of the benchmark have ended, since only then their time is known.
    """

    def __init__(self) -> None:
        self._start = self._snapshot()

    def share(self) -> float | None:
        """From 0 to 1; None where the system does not tell."""
        start, now = self._start, self._snapshot()
        if start is None or now is None:
            return None
        busy, own, clock = (b - a for a, b in zip(start, now, strict=True))
        return max(0.0, (busy - own) / (clock * (os.cpu_count() or 1)))

    @staticmethod
    def _snapshot() -> tuple[float, float, float] | None:
        try:
            line = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0]
        except OSError:
            return None
        user, nice, system, _, _, irq, softirq, *rest = map(int, line.split()[1:])
        steal = rest[0] if rest else 0
        busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        return busy, sum(os.times()[:4]), time.perf_counter()
