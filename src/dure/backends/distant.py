"""What is started elsewhere, and looks from here like a process of this machine.

A thread of this process speaks with it: what it says goes into the private pipe that every `Child` has, what it writes
into its output pipes. How it is started and spoken with is for those who derive from this.
"""

import contextlib
import os
import socket
import threading
from abc import abstractmethod
from pathlib import Path
from typing import Any

from dure.backends.child import Child
from dure.errors import DureError
from dure.transport.control import Control
from dure.transport.failure import take_apart


class DistantChild(Child):
    """A worker elsewhere, that is being started by a thread.

    Args:
        name: Of the thread.
        address: The file that is to tell the gateway how the worker is reached.
    """

    def __init__(self, name: str, address: str) -> None:
        control, self._theirs = Control.pair()
        readers, self._writers = zip(*[os.pipe() for _ in ("stdout", "stderr")], strict=True)
        super().__init__(control, *(os.fdopen(number, "rb", buffering=0) for number in readers))
        self._path = Path(address)
        self._ending = False
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def wait(self, timeout_s: float) -> bool:
        """Wait until it has ended and nothing is left of it; whether that is so."""
        return self._gone.wait(timeout_s)

    @abstractmethod
    def _live(self) -> None:
        """Start it, and pass on what it says, until it has ended. In a thread of its own.

        Raises:
            DureError: Why it could not be started.
        """

    @abstractmethod
    def _remove(self) -> None:
        """Have nothing left of it, and its last words heard."""

    def _run(self) -> None:
        try:
            self._live()
        except DureError as error:
            self._tell({"failed": take_apart(error)})
        finally:
            self._end()

    def _tell(self, message: Any) -> None:
        with contextlib.suppress(OSError):
            self._theirs.send(message)

    def _write(self, number: int, data: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody reads any more
            while data:
                data = data[os.write(self._writers[number], data) :]

    def _end(self) -> None:
        """Have it gone, and its last words heard, before it is told that it is."""
        self._path.unlink(missing_ok=True)
        try:
            self._remove()
        finally:
            for number in self._writers:
                os.close(number)
            self._gone.set()
            with contextlib.suppress(OSError):
                self._theirs.socket.shutdown(socket.SHUT_RDWR)  # closed alone, it stays open for a thread that reads
            self._theirs.close()
