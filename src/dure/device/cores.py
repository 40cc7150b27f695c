"""How many cores this process may use: what the machine has, less what its affinity and its control group forbid."""

import os
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def usable_cores(groups: Path = _GROUPS) -> int:
    """Return the number of whole cores, at least 1.

    Args:
        groups: Where control groups are told of; their quota is that of a container.

    Source: cpu.max and cpu.cfs_quota_us in the kernel's documentation of cgroup v2 and v1.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(groups)
    return max(1, allowed if quota is None else min(allowed, int(quota)))


def _quota(groups: Path) -> float | None:
    words = _read(groups / "cpu.max").split()
    if len(words) != 2:
        words = [_read(groups / "cpu" / name).strip() for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")]
    quota, period = words
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
