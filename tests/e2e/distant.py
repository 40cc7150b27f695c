"""A machine at the other end of a cable that can be pulled: a network namespace, with programs in it."""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_HERE, _THERE = "10.213.{}.1", "10.213.{}.2"


class Distant:
    """The machine. `address` is reached from here."""

    def __init__(self, number: int) -> None:
        self.name = f"dure{uuid.uuid4().hex[:6]}"
        self._cable = f"v{self.name}"
        self.address = _THERE.format(number)
        here = _HERE.format(number)
        _ip("netns", "add", self.name)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("addr", "add", f"{here}/24", "dev", self._cable)
        _ip("link", "set", self._cable, "up")
        for device in ("lo", "eth0"):
            _ip("-n", self.name, "link", "set", device, "up")
        _ip("-n", self.name, "addr", "add", f"{self.address}/24", "dev", "eth0")

    @contextmanager
    def running(self, program: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """Run a Python program there; yields once it has said `ready` on a line of its own."""
        command = ["ip", "netns", "exec", self.name, sys.executable, "-u", str(program), *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
        assert process.stdout is not None
        try:
            assert any(line.strip() == "ready" for line in process.stdout), "it ended before it was ready"
            yield process
        finally:
            process.terminate()
            process.wait(30)
            process.stdout.close()

    def pull(self) -> None:
        """Cut the cable: neither side hears that the other is gone."""
        _ip("-n", self.name, "link", "set", "eth0", "down")

    def plug(self) -> None:
        """Put it in again."""
        _ip("-n", self.name, "link", "set", "eth0", "up")

    def close(self) -> None:
        """Take it away, with its cable."""
        _ip("netns", "del", self.name)


@contextmanager
def distant(number: int) -> Iterator[Distant]:
    """A machine for a test, in a network that is told from others by a number; skipped where none can be had."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need `ip` (iproute2) and root")
    machine = Distant(number)
    try:
        yield machine
    finally:
        machine.close()


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=20)
    if done.returncode:
        pytest.skip(f"network namespaces are not to be had here: {done.stderr.strip()}")
