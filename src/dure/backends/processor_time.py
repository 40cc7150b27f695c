"""How much processor time a process of this machine has had, with those that it started and that still run."""

import contextlib
import os
from pathlib import Path

_PROC = Path("/proc")


def processor_time_s(pid: int) -> float | None:
    """Return the seconds, user and system; None where the system does not tell them, or there is no such process.

    Source: proc_pid_stat(5), fields utime and stime; proc_pid_task(5), children.
    """
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(processor_time_s(child) or 0.0 for child in _children(pid))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in (_PROC / str(pid) / "task").iterdir():
            found += [int(word) for word in (task / "children").read_text(encoding="ascii").split()]
    return found
