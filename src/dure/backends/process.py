"""One child process with a private pipe: start it, hear its output, tell how it ended, stop it.

Never forks the running interpreter (CUDA does not survive that): the child is a fresh one. Knows nothing of what the
child does.
"""

import codecs
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

from dure.log import get_logger
from dure.transport.control import FD_VARIABLE, Control

_TAIL_LINES = 20
_DEFAULTS = {
    # OpenMP's idle threads spin for work by default. Beside other processes on the same cores (the gateway, a client,
    # another replica) they take the time of those they wait for: an encoder was 3 times slower for it.
    "OMP_WAIT_POLICY": "passive",
    # gRPC writes its own lines about a taken port, which dure tells in words of its own.
    "GRPC_VERBOSITY": "NONE",
}
_TAIL_BYTES = 8192
_READ_BYTES = 65536


class ChildProcess:
    """A started Python program of dure.

    Args:
        module: What `python -m` runs.
        assignment: The first message on its private pipe.
        env: Environment variables over those of this process.
    """

    def __init__(self, module: str, assignment: Any, env: dict[str, str]) -> None:
        self.control, theirs = Control.pair()
        self._tail = bytearray()
        self._decoders = [codecs.getincrementaldecoder("utf-8")(errors="replace") for _ in ("stderr", "stdout")]
        self._group_ended = False
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={
                    **_DEFAULTS,
                    **os.environ,
                    "PYTHONUNBUFFERED": "1",
                    **env,
                    FD_VARIABLE: ",".join(map(str, theirs.numbers)),
                },
                pass_fds=theirs.numbers,
                start_new_session=True,
            )
        finally:
            theirs.close()
        for stream in self.outputs:
            os.set_blocking(stream.fileno(), False)
        with contextlib.suppress(BrokenPipeError):  # it has died already, which is noticed when it is waited for
            self.control.send(assignment)

    @property
    def pid(self) -> int:
        """Process id; also that of its process group."""
        return self._process.pid

    @property
    def outputs(self) -> list[Any]:
        """Its standard output and error, to be read with `relay` when there is something."""
        return [stream for stream in (self._process.stdout, self._process.stderr) if stream is not None]

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
        is_stdout = stream is self._process.stdout
        _write(sys.stdout if is_stdout else sys.stderr, data, self._decoders[is_stdout])
        return True

    def drain(self) -> None:
        """Pass on what it wrote last, once it has ended."""
        for stream in self.outputs:
            for _ in range(16):  # more than a pipe holds: whoever goes on writing is not waited for
                if not self.relay(stream):
                    break

    def wait(self, timeout_s: float) -> bool:
        """Wait until the process has ended, and end whatever it started; whether it has."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        self.kill()
        return True

    def describe_end(self) -> str:
        """Tell how it ended: exit code or signal."""
        code = self._process.poll()
        if code is None:
            return "is still running"
        if code >= 0:
            return f"exited with code {code}"
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"was ended by {name}{hint}"

    def terminate(self) -> None:
        """Ask it to finish and end."""
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it and whatever it started, at once."""
        if self._group_ended:
            return  # its number may be another's by now
        self._group_ended = self._process.returncode is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of its pipes; a child that is still there ends itself then."""
        self.control.close()
        for stream in self.outputs:
            stream.close()


def end_all(children: Iterable[ChildProcess], grace_s: float) -> None:
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
