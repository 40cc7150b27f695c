"""A peer's server, running: started in a process of its own, asked until it answers, ended with all it started."""

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

import processes
from http_client import is_ready

_PATIENCE_S = 180.0
_FAREWELL_S = 10.0
_POLLS = {"litserve"}
_QUIET = {"BENTOML_DO_NOT_TRACK": "True", "DO_NOT_TRACK": "1", "PYTHONWARNINGS": "ignore"}


class Server:
    """The processes of one peer.

    Args:
        python: Python of the peers' environment.
        name: Peer; its program is `peers/<name>_server.py`.
        job: Fields of `peers.job.Job`, and "env": variables.

    Raises:
        RuntimeError: It ended, or does not answer; with the end of what it said.
    """

    def __init__(self, python: str, name: str, job: Mapping[str, Any]) -> None:
        asked = {"port": _free_port(), **job}
        env = asked.pop("env", {})
        self.name, self.port = name, int(asked["port"])
        self._wire = asked.get("wire", "json")
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - until close
        start = time.perf_counter()
        self._process = subprocess.Popen(
            [python, str(processes.FOLDER / "peers" / f"{name}_server.py")],
            stdin=subprocess.PIPE,
            stdout=self._said,
            stderr=self._said,
            cwd=self._folder.name,
            env={
                **os.environ,
                **_QUIET,
                **env,
                "PEER_JOB": json.dumps(asked),
                "PYTHONPATH": str(processes.FOLDER),
                "PATH": f"{Path(python).parent}{os.pathsep}{os.environ.get('PATH', '')}",
                "BENTOML_HOME": self._folder.name,
            },
        )
        self._family = [psutil.Process(self._process.pid)]
        try:
            self._wait()
        except BaseException:
            self.close()
            raise
        self.answered_s = time.perf_counter() - start
        self._family += self._family[0].children(recursive=True)
        self.pids = [one.pid for one in self._family]

    def _wait(self) -> None:
        end = time.perf_counter() + _PATIENCE_S
        while not is_ready(self.port, self._wire):
            if self._process.poll() is not None or time.perf_counter() > end:
                self._said.seek(0)
                happened = "is not ready" if self._process.poll() is None else "ended"
                raise RuntimeError(f"{self.name} {happened}: {self._said.read()[-2000:]}")
            time.sleep(0.02)

    def cpu_s(self) -> float:
        """CPU time its processes have used, in seconds."""
        return processes.cpu_s(self.pids)

    def memory_mb(self) -> tuple[float, float]:
        """Resident memory of all its processes: whole, and with shared pages divided."""
        found = [processes.memory_mb(pid) for pid in self.pids]
        return sum(rss for rss, _ in found), sum(pss for _, pss in found)

    def pause(self) -> None:
        """Hold its processes still if they poll, since that takes from others what those are measured by."""
        if self.name in _POLLS:
            for one in self._family:
                one.suspend()

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Let a paused server run meanwhile."""
        self._resume()
        try:
            yield
        finally:
            self.pause()

    def _resume(self) -> None:
        if self.name in _POLLS:
            for one in self._family:
                one.resume()

    def close(self) -> None:
        """Ask it to end, and end what is left of it."""
        with contextlib.suppress(psutil.Error):
            self._family = list({*self._family, *self._family[0].children(recursive=True)})
        with contextlib.suppress(psutil.Error):
            self._resume()
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_FAREWELL_S)
        for one in self._family:
            with contextlib.suppress(psutil.Error):
                one.kill()
        self._process.wait()
        self._said.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
