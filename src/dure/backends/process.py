"""One child process with a private pipe: start it, hear its output, tell how it ended, stop it.

Never forks the running interpreter (CUDA does not survive that): the child is a fresh one. Knows nothing of what the
child does.
"""

import contextlib
import os
import signal
import subprocess
import sys
from typing import Any, NamedTuple

from dure.backends.child import Child
from dure.transport.control import FD_VARIABLE, Control
from dure.worker.assignment import Assignment

DEFAULTS = {
    # OpenMP's idle threads spin for work by default. Beside other processes on the same cores (the gateway, a client,
    # another replica) they take the time of those they wait for: an encoder was 3 times slower for it.
    "OMP_WAIT_POLICY": "passive",
    # gRPC writes its own lines about a taken port, which dure tells in words of its own.
    "GRPC_VERBOSITY": "NONE",
}
"""Environment variables of every child, where nothing else is said."""


class ChildProcess(Child):
    """A started Python program of dure.

    Args:
        module: What `python -m` runs.
        assignment: The first message on its private pipe.
        env: Environment variables over those of this process.
        python: The interpreter; this process's own if not given.
    """

    def __init__(self, module: str, assignment: Any, env: dict[str, str], python: str = sys.executable) -> None:
        control, theirs = Control.pair()
        self._group_ended = False
        try:
            self._process = subprocess.Popen(
                [python, "-P", "-m", module],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={
                    **DEFAULTS,
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
        super().__init__(control, self._process.stdout, self._process.stderr)
        with contextlib.suppress(BrokenPipeError):  # it has died already, which is noticed when it is waited for
            self.control.send(assignment)

    @property
    def pid(self) -> int:
        """Process id; also that of its process group."""
        return self._process.pid

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


class ProcessHost(NamedTuple):
    """Begins workers as processes of this machine.

    `python` is the interpreter that runs them.
    """

    python: str = sys.executable

    @property
    def suffix(self) -> str:
        """How the address of such a worker ends."""
        return ".sock"

    def begin(self, assignment: Assignment, env: dict[str, str]) -> ChildProcess:
        """Start one."""
        return ChildProcess("dure.worker", assignment, env, self.python)
