"""The private pipe between a process and the child it started: one message after the other, both ways.

The only place where dure unpickles anything: what the parent says to its own child about user code (classes,
arguments), and the exception with which that child failed to start. No other process can reach the pipe, and its end
is the sign that the other side is gone.
"""

import os
import socket
import struct
from typing import Any

import cloudpickle

_LENGTH = struct.Struct("<I")
FD_VARIABLE = "DURE_CONTROL_FD"
"""Environment variable that tells a child the number of its end of the pipe."""


class Control:
    """One end of the pipe."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

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
        self.socket.sendall(_LENGTH.pack(len(data)) + data)

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
