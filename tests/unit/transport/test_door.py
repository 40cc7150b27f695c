"""The knock on a container's port, and the file that tells of it."""

import socket
import stat
import sys
from pathlib import Path

import pytest

from dure.errors import DecodeError
from dure.transport.door import KNOCK_BYTES, TOKEN_BYTES, Door, Purpose, opened, watch_over

TOKEN = bytes(range(TOKEN_BYTES))
DOOR = Door("127.0.0.1", 4711, TOKEN)


@pytest.mark.parametrize("purpose", Purpose)
def test_a_knock_says_what_for(purpose: Purpose) -> None:
    data = DOOR.knock(purpose)
    assert len(data) == KNOCK_BYTES
    assert opened(data, TOKEN) is purpose


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "did not knock"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n     "[:KNOCK_BYTES], "did not knock"),
        (DOOR.knock(Purpose.WIRE)[:-1], "did not knock"),
        (DOOR.knock(Purpose.WIRE) + b"x", "did not knock"),
        (DOOR._replace(token=bytes(TOKEN_BYTES)).knock(Purpose.WIRE), "does not know the token"),
        (DOOR.knock(Purpose.WIRE).replace(b"\x01", b"\x09", 1), "purpose 9"),
    ],
)
def test_who_is_not_let_in(data: bytes, why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        opened(data, TOKEN)


def test_the_file_is_the_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "1.door"
    DOOR.write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Door.read(path) == DOOR
    with pytest.raises(FileExistsError):
        DOOR.write(path)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's patience is set on Linux alone")
def test_a_connection_ends_within_seconds_of_the_other_machine_being_gone() -> None:
    with socket.socket() as sock:
        watch_over(sock)
        idle, every, times = (
            sock.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert idle + every * times <= 5
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 5000
