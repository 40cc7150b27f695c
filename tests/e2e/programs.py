"""Programs of users, run as they would run them, and whatever processes they leave behind."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_MARK = "PROGRAM_OF_A_TEST"


class Program:
    """A Python script in a process of its own; everything that comes of it carries a mark."""

    def __init__(self, path: Path, *arguments: str) -> None:
        self.mark = uuid.uuid4().hex
        self.output = path.with_suffix(".out")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(path), *arguments],
                cwd=path.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, _MARK: self.mark},
                start_new_session=True,
            )

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, timeout_s: float = 20) -> None:
        """Wait until the program has written a text."""
        deadline = time.monotonic() + timeout_s
        while text not in self.said():
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.said()}"
            assert time.monotonic() < deadline, f"never said {text!r}:\n{self.said()}"
            time.sleep(0.01)

    def wait(self, timeout_s: float = 30) -> int:
        """Return its exit code."""
        return self.process.wait(timeout_s)

    def alive(self) -> list[psutil.Process]:
        """Every process that carries the mark."""
        return [process for process in psutil.process_iter() if self._is_marked(process)]

    def left_after(self, timeout_s: float) -> list[str]:
        """What is still there after a time, or nothing as soon as nothing is there."""
        deadline = time.monotonic() + timeout_s
        while (found := self.alive()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return [_described(process) for process in found]

    def end(self) -> None:
        for process in self.alive():
            process.kill()
        self.process.wait(10)

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            return bool(process.status() != psutil.STATUS_ZOMBIE and process.environ().get(_MARK) == self.mark)
        except psutil.Error:
            return False


def _described(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())}"
    except psutil.Error:
        return str(process.pid)


@contextmanager
def program(folder: Path, source: str, *arguments: str, name: str = "main.py") -> Iterator[Program]:
    """Write a script, start it, and end all that is left of it."""
    path = folder / name
    path.write_text(source, encoding="utf-8")
    running = Program(path, *arguments)
    try:
        yield running
    finally:
        running.end()
