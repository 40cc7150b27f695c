"""Processes of a benchmark: programs of this folder that are spoken to in lines of JSON, and what processes cost."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FOLDER = Path(__file__).parent
_PATIENCE_S = 30.0


class Program:
    """A Python program of this folder in a fresh process: a line of JSON in, a line of JSON out.

    It ends by itself when its standard input is closed; if it does not, it is killed.
    """

    def __init__(
        self,
        name: str,
        *arguments: str,
        python: str = sys.executable,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._name = name
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - until close
        self._process = subprocess.Popen(
            [python, str(FOLDER / name), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, question: Any) -> Any:
        """Send a line, return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        """Return the next line.

        Raises:
            RuntimeError: It ended instead; with the end of what it said on its standard error.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"{self._name} ended early:\n{self._errors.read()[-2000:]}")
        return json.loads(line)

    def close(self) -> None:
        """Close its input and wait for its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(_PATIENCE_S)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        finally:
            self._process.stdout.close()
            self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def family(pid: int) -> list[int]:
    """A process and all that came of it."""
    import psutil

    process = psutil.Process(pid)
    return [process.pid, *(child.pid for child in process.children(recursive=True))]


def cpu_s(pids: Iterable[int]) -> float:
    """CPU time processes have used so far, all their threads, in user and kernel mode, in seconds."""
    import psutil

    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return float(sum(time.user + time.system for time in times))


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident memory of one process in MB (10^6 bytes): all of it, and with shared pages divided by their users.

    The second is the first again where the system does not tell it.
    """
    import psutil

    found = psutil.Process(pid).memory_full_info()
    return found.rss / 1e6, getattr(found, "pss", found.rss) / 1e6
