"""A client of servers that speak HTTP/1.1: kept connections, and answers that say how long they are."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import msgspec
import numpy as np
import uvloop

from vector import DIM


class Connection:
    """One kept connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**24))

    async def post(self, content: bytes, key: str = "") -> bytes:
        """Send a request to /encode, return what the answer carries.

        Raises:
            ConnectionError: The answer is not "200 OK".
        """
        head = "POST /encode HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        if key:
            head += f"Authorization: Bearer {key}\r\n"
        self._writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = answer.partition(b"content-length:")[2].partition(b"\r\n")[0]
        if not length:
            raise ConnectionError(f"an answer that does not say how long it is: {answer[:200]!r}")
        got = await self._reader.readexactly(int(length))
        if not answer.startswith(b"http/1.1 200"):
            raise ConnectionError(f"the answer is {answer[:40]!r} {got[:200]!r}")
        return got

    def close(self) -> None:
        self._writer.close()


def body(texts: Sequence[str], wire: str = "json") -> bytes:
    """A request, as all the servers here understand it."""
    if wire == "msgpack":
        return msgspec.msgpack.encode({"texts": texts})
    return msgspec.json.encode({"data": [{"text": text} for text in texts]})


def vectors(content: bytes, wire: str = "json") -> np.ndarray:
    """The embeddings in an answer, of shape (documents, 384)."""
    if wire == "msgpack":
        return np.frombuffer(msgspec.msgpack.decode(content)["embeddings"], np.float32).reshape(-1, DIM)
    told: Any = msgspec.json.decode(content)
    rows = told["data"] if isinstance(told, dict) else told
    return np.asarray([row["embedding"] for row in rows], np.float32)


def is_ready(port: int, wire: str = "json") -> bool:
    """Whether a server answers."""
    try:
        ask(port, [["Are you there?"]], 1, wire)
    except (OSError, asyncio.IncompleteReadError):
        return False
    return True


@dataclass(frozen=True)
class Answers:
    """What came back, in the order of the requests, and how long each request and all of them took, in seconds."""

    embeddings: tuple[np.ndarray, ...]
    times_s: tuple[float, ...]
    seconds: float

    def rates(self) -> dict[str, float]:
        p50, p99 = np.percentile(self.times_s, (50, 99)) * 1e3
        count = sum(len(one) for one in self.embeddings)
        return {"docs_per_s": count / self.seconds, "p50_ms": float(p50), "p99_ms": float(p99)}


def ask(port: int, requests: Sequence[Sequence[str]], clients: int, wire: str = "json") -> Answers:
    """Let some clients send the texts of all requests, each one request after the other.

    Raises:
        ConnectionError: A request was refused, or answered with another number of vectors.
    """
    return uvloop.run(_ask(port, requests, clients, wire))


async def _ask(port: int, requests: Sequence[Sequence[str]], clients: int, wire: str) -> Answers:
    got: dict[int, np.ndarray] = {}
    times: dict[int, float] = {}
    left = iter(enumerate(requests))

    async def one(connection: Connection) -> None:
        for number, texts in left:
            begin = time.perf_counter()
            got[number] = vectors(await connection.post(body(texts, wire)), wire)
            times[number] = time.perf_counter() - begin
            if got[number].shape != (len(texts), DIM):
                raise ConnectionError(f"{len(texts)} documents were sent, {got[number].shape} came back")

    connections = [await Connection.open(port) for _ in range(min(clients, len(requests)))]
    try:
        begin = time.perf_counter()
        await asyncio.gather(*[one(connection) for connection in connections])
        seconds = time.perf_counter() - begin
    finally:
        for connection in connections:
            connection.close()
    order = range(len(requests))
    return Answers(tuple(got[n] for n in order), tuple(times[n] for n in order), seconds)
