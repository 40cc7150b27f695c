"""mosec beside dure: its server in an environment of its own, and a client for it on kept connections.

Only what `--peers` asks for: the first time it installs mosec into `.venv-peers`, for which it needs a package index.
"""

import asyncio
import socket
import subprocess
import time
import venv
from types import TracebackType
from typing import Self

import msgspec
import numpy as np
import uvloop

import machine
from noop import DIM, documents
from processes import Program, cpu_s, family, memory_mb

VENV = machine.ROOT / ".venv-peers"
CONNECTIONS = 4
_PATIENCE_S = 30.0


def install() -> str:
    """Make the environment if it is not there; return its Python.

    Raises:
        RuntimeError: It cannot be made; with what pip said.
    """
    python = VENV / "bin" / "python"
    check = [str(python), "-c", "import mosec, msgpack, numpy"]
    if not python.exists() or subprocess.run(check, capture_output=True).returncode:
        venv.create(VENV, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "mosec", "msgpack", "numpy"]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"mosec cannot be installed: {done.stderr.strip()[-400:]}")
    return str(python)


class _Connection:
    """One kept HTTP/1.1 connection; reads answers that say how long they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def post(self, body: bytes) -> np.ndarray:
        head = f"POST /encode HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(answer.partition(b"content-length:")[2].partition(b"\r\n")[0])
        content = await self._reader.readexactly(length)
        if not answer.startswith(b"http/1.1 200"):
            raise ConnectionError(f"mosec answered {answer[:40]!r} {content[:200]!r}")
        return np.frombuffer(msgspec.msgpack.decode(content)["embeddings"], np.float32).reshape(-1, DIM)

    def close(self) -> None:
        self._writer.close()


class MosecPeer:
    """The server, running."""

    def __init__(self, python: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        start = time.perf_counter()
        self._program = Program("peers/mosec_server.py", str(self._port), python=python)
        try:
            uvloop.run(self._ready())
        except BaseException:
            self._program.close()
            raise
        self.answered_s = time.perf_counter() - start
        self._pids = family(self._program.pid)

    async def _ready(self) -> None:
        end = time.perf_counter() + _PATIENCE_S
        while True:
            try:
                connection = await _Connection.open(self._port)
                await connection.post(_body(1))
                connection.close()
            except (OSError, asyncio.IncompleteReadError, ConnectionError) as error:
                if time.perf_counter() > end:
                    raise RuntimeError(f"mosec is not ready after {_PATIENCE_S:g} s: {error}") from error
                await asyncio.sleep(0.02)
            else:
                return

    def memory_mb(self) -> tuple[float, float]:
        """Resident memory of all its processes: whole, and with shared pages divided."""
        found = [memory_mb(pid) for pid in self._pids]
        return sum(rss for rss, _ in found), sum(pss for _, pss in found)

    def bulk(self, count: int, size: int) -> dict[str, float]:
        """Send `count` documents, `size` a request, on four connections."""
        before, start = cpu_s(self._pids), time.perf_counter()
        uvloop.run(self._bulk(count // size, size))
        seconds, used = time.perf_counter() - start, cpu_s(self._pids) - before
        return {"docs_per_s": count / seconds, "server_us": used / count * 1e6}

    async def _bulk(self, requests: int, size: int) -> None:
        waiting = iter(range(requests))

        async def send() -> None:
            connection = await _Connection.open(self._port)
            for _ in waiting:
                if len(await connection.post(_body(size))) != size:
                    raise RuntimeError("mosec answered another number of vectors")
            connection.close()

        await asyncio.gather(*(send() for _ in range(CONNECTIONS)))

    def round_trips_s(self, count: int) -> list[float]:
        """How long each of `count` requests of one document took, one after the other."""
        return uvloop.run(self._round_trips(count))

    async def _round_trips(self, count: int) -> list[float]:
        connection = await _Connection.open(self._port)
        times = []
        for _ in range(count):
            start = time.perf_counter()
            await connection.post(_body(1))
            times.append(time.perf_counter() - start)
        connection.close()
        return times

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.close()


_TEXTS = [document.text for document in documents(64)]


def _body(size: int) -> bytes:
    return msgspec.msgpack.encode({"texts": _TEXTS[:size]})
