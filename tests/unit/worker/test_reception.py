"""The port of a worker in a container, from inside: who is let in, and to whom it is handed."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from dure.errors import SpecError
from dure.transport.door import TOKEN_BYTES, TOKEN_VARIABLE, Door, Purpose
from dure.worker.reception import Reception

TOKEN = bytes(range(TOKEN_BYTES))


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        number: int = sock.getsockname()[1]
        return number


@pytest.fixture
def reception(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reception]:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN.hex())
    reception = Reception(f"127.0.0.1:{port}")
    yield reception
    reception.close()


def test_each_is_handed_to_whom_it_is_for(reception: Reception, port: int) -> None:
    assert TOKEN_VARIABLE not in os.environ
    door = Door("127.0.0.1", port, TOKEN)
    for purpose in (Purpose.LIFELINE, Purpose.CONTROL):
        with door.connect(purpose, 5) as ours, reception.wait_for(purpose) as theirs:
            ours.sendall(b"said")
            assert theirs.recv(4) == b"said"


async def test_the_wire_is_the_loops(reception: Reception, port: int) -> None:
    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.write(b"hello")
            transport.close()

    door = Door("127.0.0.1", port, TOKEN)
    with door.connect(Purpose.WIRE, 5) as sock:  # before anybody serves it
        assert await asyncio.to_thread(sock.recv, 5) == b""
    reception.serve(Protocol)
    with door.connect(Purpose.WIRE, 5) as sock:
        assert await asyncio.to_thread(sock.recv, 5) == b"hello"


@pytest.mark.parametrize(
    "data", [b"", b"GET / HTTP/1.1\r\n\r\n" * 5, Door("", 0, bytes(TOKEN_BYTES)).knock(Purpose.CONTROL)]
)
def test_who_does_not_know_the_token_is_hung_up_on(reception: Reception, port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(data)
        with contextlib.suppress(ConnectionError):
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""


def test_those_who_say_nothing_keep_nobody_out(reception: Reception, port: int) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        with Door("127.0.0.1", port, TOKEN).connect(Purpose.CONTROL, 5), reception.wait_for(Purpose.CONTROL):
            pass


def test_closing_it_ends_its_thread(reception: Reception) -> None:
    reception.close()
    for thread in threading.enumerate():
        if thread.name == "dure-reception":
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.parametrize("address", ["8080", "0.0.0.0", ":8080", "0.0.0.0:http", ""])
def test_an_address_that_is_none(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN.hex())
    with pytest.raises(SpecError, match="is not HOST:PORT"):
        Reception(address)


@pytest.mark.parametrize("token", ["", "00", "x" * 64])
def test_without_a_token_nobody_listens(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    with pytest.raises(SpecError, match="DURE_TOKEN: a token of 64 hexadecimal digits is needed"):
        Reception("127.0.0.1:0")
