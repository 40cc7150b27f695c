"""What is measured, and on what: devices, drivers, versions of libraries, processor, commit.

Everything as plain values, for a file that is read years later. Knows nothing of measurements.
"""

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dure.bench.clock import is_real_gpu
from dure.deps import require
from dure.device.context import Context
from dure.device.library import library
from dure.device.probe import require_device

LIBRARIES = ("dure", "torch", "numpy", "transformers", "tokenizers", "sentence-transformers", "nvidia-ml-py")


def described(contexts: Sequence[Context], commit: str = "") -> dict[str, Any]:
    """Return all that is known of this machine and of these devices.

    Args:
        contexts: The devices that are measured.
        commit: What is measured, where it does not stand in a git checkout.

    Raises:
        DeviceNotFound: A device is not on this machine.
    """
    return {
        "date": today(),
        "commit": commit or found_commit(),
        "cpu": cpu_model(),
        "cores": num_cores(),
        "system": f"{platform.system()} {platform.release()}",
        "array_library": library(),
        "versions": versions(),
        "torch": _torch_settings(),
        "devices": [_device(context) for context in contexts],
    }


def name_of(contexts: Sequence[Context]) -> str:
    """Return a short name for files: that of the first real GPU, or that of the processor.

    Raises:
        DeviceNotFound: A device is not on this machine.
    """
    gpus = [context for context in contexts if is_real_gpu(context)]
    text = require_device(gpus[0]).name if gpus else f"{cpu_model()} {num_cores()} cores"
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def today() -> str:
    """Return the date in UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def cpu_model() -> str:
    """Return the processor's name, as the system tells it."""
    return _cpu_info("model name") or platform.processor() or platform.machine()


def cpu_has(flag: str) -> bool:
    """Return whether the processor has a set of instructions, e.g. `amx_bf16`."""
    return flag in _cpu_info("flags").split()


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that matter here and are installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def found_commit() -> str:
    """Return the commit of the checkout that this file stands in, `+changes` where sources differ, or `unknown`."""
    folder = Path(__file__).parent
    git = ["git", "-c", f"safe.directory={folder.parents[2]}", "-C", str(folder)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        )
        changes = subprocess.run(
            [*git, "status", "--porcelain", "-uno", "--", str(folder.parent)],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return head.stdout.strip() + ("+changes" if changes.stdout.strip() else "")


def _cpu_info(label: str) -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(rf"^{label}\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else ""


def _device(context: Context) -> dict[str, Any]:
    info = require_device(context)
    told: dict[str, Any] = {
        "device": str(context),
        "name": cpu_model() if context.kind == "cpu" else info.name,
        "driver": info.driver,
        "memory_total_bytes": info.memory_total_bytes,
        "simulated": context.kind == "gpu" and not is_real_gpu(context),
    }
    if is_real_gpu(context):
        found = require("torch", "torch").cuda.get_device_properties(context.torch_name)
        told["multiprocessors"] = found.multi_processor_count
        told["compute_capability"] = f"{found.major}.{found.minor}"
    return told


def _torch_settings() -> dict[str, Any]:
    if library() != "torch":
        return {}
    torch = require("torch", "torch")
    settings = {
        "threads": torch.get_num_threads(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    if torch.version.cuda is not None:
        settings |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return settings
