"""The private pipe between a process and the child it started: one message after the other, both ways.

The only place where dure unpickles anything: what the parent says to its own child about user code (classes,
arguments), and the exception with which that child failed to start. No other process can reach the pipe, and its end
is the sign that the other side is gone.
"""

import fcntl
import os
import select
import signal
import socket
import struct
import sys
import threading
from typing import Any

import cloudpickle

_LENGTH = struct.Struct("<I")
FD_VARIABLE = "DURE_CONTROL_FD"
"""Environment variable that tells a child the number of its end of the pipe."""


class Control:
    """One end of the pipe."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._deadly = False

    @classmethod
    def of_child(cls) -> "Control":
        """Take the end that this process was started with."""
        sock = socket.socket(fileno=int(os.environ.pop(FD_VARIABLE)))
        sock.set_inheritable(False)
        return cls(sock)

    def send(self, message: Any) -> None:
        """Send one message.

        Raises:
            OSError: The other side is gone.
        """
        data = cloudpickle.dumps(message)
        self._notify(on=False)  # room to write on is an event, too
        self.socket.sendall(_LENGTH.pack(len(data)) + data)
        self._notify(on=self._deadly)

    def die_with_peer(self) -> None:
        """Have this process's group killed when the other side is gone; it must say nothing more."""
        self._deadly = True
        self._notify(on=True)
        threading.Thread(target=self._wait_and_die, daemon=True).start()

    def _notify(self, *, on: bool) -> None:
        # A thread sees the end of the pipe only when it gets to run, which one long call of C can keep it from. So the
        # kernel does it, where it can: an event on the pipe is the signal KILL.
        if not self._deadly or sys.platform != "linux":
            return
        number = self.socket.fileno()
        fcntl.fcntl(number, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(number, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(number, fcntl.F_GETFL)
        fcntl.fcntl(number, fcntl.F_SETFL, flags | os.O_ASYNC if on else flags & ~os.O_ASYNC)

    def _wait_and_die(self) -> None:
        select.select([self.socket], [], [])  # not recv: while a thread waits in it, the kernel sends no signal
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def receive(self) -> Any:
        """Wait for one message; None when the other side is gone."""
        head = self._exactly(_LENGTH.size)
        if head is None:
            return None
        data = self._exactly(_LENGTH.unpack(head)[0])
        return None if data is None else cloudpickle.loads(data)

    def _exactly(self, size: int) -> bytes | None:
        data = bytearray()
        while len(data) < size:
            try:
                piece = self.socket.recv(size - len(data))
            except ConnectionResetError:
                return None
            if not piece:
                return None
            data += piece
        return bytes(data)

    def close(self) -> None:
        """Close this end."""
        self.socket.close()
