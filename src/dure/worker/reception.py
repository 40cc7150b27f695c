"""Where a worker in a container or on another machine is reached, by who knows the token.

Each connection is handed to whom it is for.

A thread accepts; each who connects has a moment to knock, in a thread of its own, and nothing of it is kept if not.
"""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable
from queue import SimpleQueue

from dure.errors import DecodeError, SpecError
from dure.log import get_logger
from dure.transport.door import KNOCK_BYTES, LET_IN, TOKEN_BYTES, TOKEN_VARIABLE, Purpose, opened, watch_over

_KNOCK_S = 5.0
_MAX_KNOCKING = 16
_MAX_WARNINGS = 20


class Reception:
    """The door, from inside.

    Args:
        address: Where to listen, e.g. `0.0.0.0:8080`: inside the container all of its own addresses. Port 0 is a free
            one.

    Raises:
        SpecError: No such address, or no token was given.
        OSError: It cannot listen there.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise SpecError(f"--listen: {address!r} is not HOST:PORT")
        self._token = _token()
        self._warnings = 0
        self._knocking = threading.Semaphore(_MAX_KNOCKING)
        self._expected: dict[Purpose, SimpleQueue[socket.socket]] = {
            Purpose.CONTROL: SimpleQueue(),
            Purpose.LIFELINE: SimpleQueue(),
        }
        self._take_wire: Callable[[socket.socket], None] | None = None
        self._socket = socket.create_server((host, int(port)), backlog=64)
        threading.Thread(target=self._accept, name="dure-reception", daemon=True).start()

    @property
    def address(self) -> str:
        """Where it listens, with the port that it has."""
        host, port = self._socket.getsockname()[:2]
        return f"{host}:{port}"

    def wait_for(self, purpose: Purpose) -> socket.socket:
        """Wait for the connection of a purpose, other than the wire."""
        return self._expected[purpose].get()

    def serve(self, connection: Callable[[], asyncio.BaseProtocol]) -> None:
        """Let connections to the wire in from now on; `connection` makes the protocol object of each."""
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[object]] = set()

        def begin(sock: socket.socket) -> None:
            task: asyncio.Task[object] = loop.create_task(loop.connect_accepted_socket(connection, sock))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        def take(sock: socket.socket) -> None:
            sock.setblocking(False)
            loop.call_soon_threadsafe(begin, sock)

        self._take_wire = take

    def close(self) -> None:
        """Let nobody in any more."""
        self._take_wire = None
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return  # closed
            if not self._knocking.acquire(blocking=False):
                sock.close()
                continue
            threading.Thread(target=self._receive, args=(sock,), daemon=True).start()

    def _receive(self, sock: socket.socket) -> None:
        try:
            sock.settimeout(_KNOCK_S)
            watch_over(sock)
            purpose = opened(sock.recv(KNOCK_BYTES, socket.MSG_WAITALL), self._token)
            if purpose in self._expected:
                sock.sendall(LET_IN)
            sock.settimeout(None)
        except (OSError, DecodeError) as error:
            sock.close()
            self._warn(error)
        else:
            self._hand_over(sock, purpose)
        finally:
            self._knocking.release()

    def _hand_over(self, sock: socket.socket, purpose: Purpose) -> None:
        if purpose in self._expected:
            self._expected[purpose].put(sock)
        elif self._take_wire is not None:
            self._take_wire(sock)
        else:
            sock.close()

    def _warn(self, error: Exception) -> None:
        self._warnings += 1
        if self._warnings <= _MAX_WARNINGS:
            get_logger("worker").warning("a connection was refused: %s", error)


def _token() -> bytes:
    text = os.environ.pop(TOKEN_VARIABLE, "")
    try:
        token = bytes.fromhex(text)
    except ValueError:
        token = b""
    if len(token) != TOKEN_BYTES:
        raise SpecError(
            f"{TOKEN_VARIABLE}: a token of {2 * TOKEN_BYTES} hexadecimal digits is needed, which a Flow gives"
        )
    return token
