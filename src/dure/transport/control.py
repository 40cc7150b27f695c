"""The private pipe between a process and the child it started: one message after the other, both ways.

The only place where dure unpickles anything: what the parent says to its own child about user code (classes,
arguments), and what that child answers. No other process can reach the pipe. Beside it runs a lifeline, on which
nothing is ever said: its end is the sign that the other side is gone.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import cloudpickle

_LENGTH = struct.Struct("<I")
FD_VARIABLE = "DURE_CONTROL_FD"
"""Environment variable that tells a child the numbers of its ends of pipe and lifeline."""

_ours: "weakref.WeakSet[Control]" = weakref.WeakSet()


def _let_go() -> None:
    for control in list(_ours):
        control.close()


# A fork of the parent would otherwise keep lifelines alive, and with them workers that nobody has any more.
os.register_at_fork(after_in_child=_let_go)


class Control:
    """One end of the pipe, and of the lifeline."""

    def __init__(self, sock: socket.socket, lifeline: socket.socket) -> None:
        self.socket = sock
        self._lifeline = lifeline
        self._sending = threading.Lock()

    @classmethod
    def pair(cls) -> tuple["Control", "Control"]:
        """Make both ends."""
        pipe, lifeline = socket.socketpair(), socket.socketpair()
        ours, theirs = cls(pipe[0], lifeline[0]), cls(pipe[1], lifeline[1])
        ours.keep_from_forks()
        return ours, theirs

    def keep_from_forks(self) -> None:
        """Have a fork of this process let go of it."""
        _ours.add(self)

    @classmethod
    def of_child(cls) -> "Control":
        """Take the end that this process was started with."""
        numbers = os.environ.pop(FD_VARIABLE).split(",")
        pipe, lifeline = (socket.socket(fileno=int(number)) for number in numbers)
        for sock in (pipe, lifeline):
            sock.set_inheritable(False)
        return cls(pipe, lifeline)

    @property
    def numbers(self) -> tuple[int, int]:
        """File descriptors of this end, for a child to take it."""
        return self.socket.fileno(), self._lifeline.fileno()

    def send(self, message: Any) -> None:
        """Send one message.

        Raises:
            OSError: The other side is gone.
        """
        data = self._pack(message)
        with self._sending:
            self.socket.sendall(_LENGTH.pack(len(data)) + data)

    def stand_by(self, answer: Callable[[Any], Any]) -> None:
        """Have this process's group killed when the other side is gone; until then a thread answers what it asks.

        Args:
            answer: Called with a question; its result is sent.
        """
        # A thread sees the end of the lifeline only when it gets to run, which one long call of C can keep it from. So
        # the kernel does it, where it can: an event there is the signal KILL.
        if sys.platform == "linux":
            number = self._lifeline.fileno()
            fcntl.fcntl(number, fcntl.F_SETOWN, -os.getpgrp())
            fcntl.fcntl(number, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(number, fcntl.F_SETFL, fcntl.fcntl(number, fcntl.F_GETFL) | os.O_ASYNC)
        threading.Thread(target=self._stand_by, args=(answer,), name="dure-lifeline", daemon=True).start()

    def _stand_by(self, answer: Callable[[Any], Any]) -> None:
        events = select.poll()
        for number in self.numbers:
            events.register(number, select.POLLIN)
        while True:
            # Not recv on the lifeline: while a thread waits in it, the kernel sends no signal.
            ready = {number for number, _ in events.poll()}
            question = None if self._lifeline.fileno() in ready else self.receive()
            if question is None:
                os.killpg(os.getpgrp(), signal.SIGKILL)
            with contextlib.suppress(OSError):  # it is gone, which the lifeline tells next
                self.send(answer(question))

    def receive(self) -> Any:
        """Wait for one message; None when the other side is gone."""
        head = self._exactly(_LENGTH.size)
        if head is None:
            return None
        data = self._exactly(self._size(_LENGTH.unpack(head)[0]))
        return None if data is None else self._unpack(data)

    def _pack(self, message: Any) -> bytes:
        return bytes(cloudpickle.dumps(message))

    def _unpack(self, data: bytes) -> Any:
        return cloudpickle.loads(data)

    def _size(self, size: int) -> int:
        return size

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
        self._lifeline.close()
