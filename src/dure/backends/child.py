"""What was started and is watched, wherever it runs: its private pipe, what it writes, and how it ends.

A process of this machine is in `process.py`, one in a container in `container.py`, one of a Ray cluster in
`ray_actor.py`; who watches them knows this alone.
"""

import codecs
import contextlib
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from dure.backends.processor_time import processor_time_s
from dure.log import get_logger
from dure.transport.control import Control

_TAIL_LINES = 20
_TAIL_BYTES = 8192
_READ_BYTES = 65536


class Child(ABC):
    """A started program of dure.

    Args:
        control: Our end of its private pipe.
        stdout: What it writes, to be read without waiting.
        stderr: The same of its errors.
    """

    def __init__(self, control: Control, stdout: Any, stderr: Any) -> None:
        self.control = control
        self._stdout = stdout
        self.outputs: list[Any] = [stdout, stderr]
        """Its standard output and error, to be read with `relay` when there is something."""
        self._tail = bytearray()
        self._decoders = [codecs.getincrementaldecoder("utf-8")(errors="replace") for _ in ("stderr", "stdout")]
        for stream in self.outputs:
            os.set_blocking(stream.fileno(), False)

    @property
    @abstractmethod
    def pid(self) -> int:
        """Process id, as this machine counts; 0 while there is none."""

    @abstractmethod
    def wait(self, timeout_s: float) -> bool:
        """Wait until it has ended, and end whatever it started; whether it has."""

    @abstractmethod
    def describe_end(self) -> str:
        """Tell how it ended: exit code or signal."""

    @abstractmethod
    def terminate(self) -> None:
        """Ask it to finish and end."""

    @abstractmethod
    def kill(self) -> None:
        """End it and whatever it started, at once."""

    def processor_time_s(self) -> float | None:
        """Return how much processor time it has had; None where nobody knows."""
        return processor_time_s(self.pid)

    @property
    def tail(self) -> list[str]:
        """The last lines it wrote."""
        lines = self._tail.decode(errors="replace").splitlines()
        return [line for line in lines if line.strip()][-_TAIL_LINES:]

    @property
    def last_words(self) -> str:
        """The last lines it wrote, for a message that begins with who it is."""
        lines = "\n".join(f"  {line}" for line in self.tail)
        return f"had written:\n{lines}" if lines else "had written nothing"

    def relay(self, stream: Any) -> bool:
        """Pass on what the child wrote to one of `outputs`, and remember the last lines; False if nothing is there."""
        try:
            data = os.read(stream.fileno(), _READ_BYTES)
        except (BlockingIOError, ValueError):
            return False
        if not data:
            return False
        self._tail += data
        del self._tail[:-_TAIL_BYTES]
        is_stdout = stream is self._stdout
        _write(sys.stdout if is_stdout else sys.stderr, data, self._decoders[is_stdout])
        return True

    def drain(self) -> None:
        """Pass on what it wrote last, once it has ended."""
        for stream in self.outputs:
            for _ in range(16):  # more than a pipe holds: whoever goes on writing is not waited for
                if not self.relay(stream):
                    break

    def close(self) -> None:
        """Let go of its pipes; a child that is still there ends itself then."""
        self.control.close()
        for stream in self.outputs:
            stream.close()


def end_all(children: Iterable[Child], grace_s: float) -> None:
    """Ask all to finish and end, and end those that take longer."""
    children = list(children)
    for child in children:
        child.terminate()
    deadline = time.monotonic() + grace_s
    for child in children:
        if not child.wait(max(0.0, deadline - time.monotonic())):
            get_logger("flow").warning("process %d did not end within %g s and is killed", child.pid, grace_s)
            child.kill()


def _write(target: Any, data: bytes, decoder: codecs.IncrementalDecoder) -> None:
    # Whoever replaced sys.stdout may have closed it, or given it no bytes (a notebook); a child's output is not worth
    # the parent's life.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if hasattr(target, "buffer"):
            target.flush()
            target.buffer.write(data)
        else:
            target.write(decoder.decode(data))
        target.flush()
