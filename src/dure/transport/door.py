"""The door of a worker in a container or on another machine: a TCP port, where only who knows the token is heard.

Whoever connects knocks first: a few bytes that say what the connection is for, and the token. How a door is reached
stands in a file of its own beside the Flow's sockets, which its user alone can read. Knows nothing of what is said once
a connection is there.
"""

import asyncio
import hmac
import os
import socket
import sys
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from dure.errors import DecodeError

TOKEN_VARIABLE = "DURE_TOKEN"
"""Environment variable that tells such a worker the token."""

TOKEN_BYTES = 32
SUFFIX = ".door"
LET_IN = b"+"
"""What a connection for control or lifeline hears first."""
TCP = "tcp://"
"""How the address of a worker begins that is to listen on TCP."""
_MAGIC = b"dure1"
KNOCK_BYTES = len(_MAGIC) + 1 + TOKEN_BYTES
_CONNECT_S = 3.0
_SILENCE_S = 1  # of a connection, after which the kernel asks whether the other side is there
_MAX_UNHEARD = 3


class Purpose(IntEnum):
    """What a connection is for."""

    WIRE = 1
    """Frames: batches and their answers."""
    CONTROL = 2
    """What the worker is told, and what it tells of itself."""
    LIFELINE = 3
    """Nothing: its end says that the other side is gone."""


class Door(NamedTuple):
    """Where a door is, and its token."""

    host: str
    port: int
    token: bytes

    def write(self, path: Path) -> None:
        """Put this into a file that its user alone can read."""
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(number, "w", encoding="ascii") as file:
            file.write(f"{self.host} {self.port} {self.token.hex()}")

    @classmethod
    def read(cls, path: Path) -> "Door":
        """Read such a file.

        Raises:
            OSError: There is none: the worker has ended, or is not there yet.
        """
        host, port, token = path.read_text(encoding="ascii").split()
        return cls(host, int(port), bytes.fromhex(token))

    def knock(self, purpose: Purpose) -> bytes:
        """Return the first bytes of a connection."""
        return _MAGIC + bytes([purpose]) + self.token

    def connect(self, purpose: Purpose, timeout_s: float) -> socket.socket:
        """Return a connection that was let in; of the wire, the worker's first words will tell that.

        Raises:
            OSError: Nobody is there yet, or the knock was not taken.
        """
        sock = socket.create_connection((self.host, self.port), timeout_s)
        try:
            watch_over(sock)
            sock.sendall(self.knock(purpose))
            # An engine's own proxy takes connections before the worker does, and then ends them.
            if purpose is not Purpose.WIRE and sock.recv(len(LET_IN)) != LET_IN:
                raise ConnectionRefusedError(f"{self.host}:{self.port} does not let in")
            sock.settimeout(None)
        except OSError:
            sock.close()
            raise
        return sock


def watch_over(sock: socket.socket) -> None:
    """Have the kernel send at once, and end the connection within seconds of the other machine being out of reach."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _SILENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _SILENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _MAX_UNHEARD)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * _SILENCE_S * (1 + _MAX_UNHEARD))


def opened(data: bytes, token: bytes) -> Purpose:
    """Read a knock.

    Raises:
        DecodeError: It is none, or has another token.
    """
    if len(data) != KNOCK_BYTES or not data.startswith(_MAGIC):
        raise DecodeError("whoever connected did not knock as a Flow does")
    if not hmac.compare_digest(data[len(_MAGIC) + 1 :], token):
        raise DecodeError("whoever connected does not know the token")
    try:
        return Purpose(data[len(_MAGIC)])
    except ValueError as error:
        raise DecodeError(f"a connection for purpose {data[len(_MAGIC)]} is not known here") from error


async def attach(protocol: asyncio.BaseProtocol, address: str) -> None:
    """Connect to a worker: at a Unix socket, or at the door that a file tells of.

    Raises:
        OSError: Nobody listens there.
    """
    loop = asyncio.get_running_loop()
    if not address.endswith(SUFFIX):
        await loop.create_unix_connection(lambda: protocol, address)
        return
    door = Door.read(Path(address))
    sock = socket.socket()
    try:
        sock.setblocking(False)
        watch_over(sock)
        async with asyncio.timeout(_CONNECT_S):
            await loop.sock_connect(sock, (door.host, door.port))
            await loop.sock_sendall(sock, door.knock(Purpose.WIRE))
    except BaseException:
        sock.close()
        raise
    await loop.create_connection(lambda: protocol, sock=sock)
