"""Many clients connected by WebSocket, in a process of their own.

    python sockets.py PORT

Reads lines of JSON: {"open": COUNT} opens so many, {"ask": COUNT} asks over some of them, one after the other.
Speaks just enough of the protocol for that, so that it is the server's memory that is the limit.
"""

import asyncio
import base64
import json
import os
import sys
import time

import numpy as np

_AT_ONCE = 100
_TEXT, _MASKED = 0x81, 0x80


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Client":
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            f"sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(head.decode(errors="replace"))
        return cls(reader, writer)

    async def ask(self, number: int) -> float:
        """Send one document, wait for its answer; return the seconds that took."""
        begin = time.perf_counter()
        text = json.dumps({"id": number, "endpoint": "/", "data": ["x"]}).encode()
        self._writer.write(bytes([_TEXT, _MASKED | len(text), 0, 0, 0, 0]) + text)  # a mask of zeros changes nothing
        size = (await self._reader.readexactly(2))[1]
        if size == 126:
            size = int.from_bytes(await self._reader.readexactly(2))
        elif size == 127:
            size = int.from_bytes(await self._reader.readexactly(8))
        answer = json.loads(await self._reader.readexactly(size))
        if answer["id"] != number or "error" in answer:
            raise ConnectionError(f"an answer to another request: {str(answer)[:200]}")
        return time.perf_counter() - begin


async def main(port: int) -> None:
    clients: list[Client] = []
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        begin = time.perf_counter()
        if "open" in asked:
            for start in range(0, asked["open"], _AT_ONCE):
                count = min(_AT_ONCE, asked["open"] - start)
                clients += await asyncio.gather(*[Client.open(port) for _ in range(count)])
            answer = {"open": len(clients), "seconds": time.perf_counter() - begin}
        else:
            step = max(1, len(clients) // asked["ask"])
            times = [await client.ask(number) for number, client in enumerate(clients[::step][: asked["ask"]])]
            p50, p99 = np.percentile(times, (50, 99)) * 1e3
            answer = {"answered": len(times), "p50_ms": p50, "p99_ms": p99}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
