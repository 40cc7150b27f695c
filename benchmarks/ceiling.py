"""How fast bytes get from a client through a gateway to a worker and back, if nobody does anything else with them.

Three processes on uvloop pass messages over Unix sockets: no documents, no queue, no limits, no errors. The sizes are
those of the real thing: a request comes back with its vectors behind it.

    python ceiling.py worker SOCKET
    python ceiling.py gateway SOCKET SOCKET_OF_WORKER
"""

import asyncio
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import uvloop

import lifeline
from processes import Program

_HEAD = struct.Struct("<III")  # size of what follows, number, documents
_SPACE_BYTES = 8 * 2**20
_DIM = 384

OnMessage = Callable[["Wire", int, int, bytes], None]


class Wire(asyncio.BufferedProtocol):
    """One end of a connection: calls `on_message(wire, number, rows, payload)`."""

    def __init__(self, on_message: OnMessage) -> None:
        self._on_message = on_message
        self._space = memoryview(bytearray(_SPACE_BYTES))
        self._filled = 0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._space[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        space, end, at = self._space, self._filled + nbytes, 0
        while end - at >= _HEAD.size:
            size, number, rows = _HEAD.unpack_from(space, at)
            begin = at + _HEAD.size
            if end - begin < size:
                break
            at = begin + size
            self._on_message(self, number, rows, bytes(space[begin:at]))
        if at:
            space[: end - at] = space[at:end]
        self._filled = end - at

    def send(self, number: int, rows: int, payload: bytes) -> None:
        self._transport.writelines((_HEAD.pack(len(payload), number, rows), payload))


async def _serve(path: str, on_message: OnMessage) -> None:
    server = await asyncio.get_running_loop().create_unix_server(lambda: Wire(on_message), path)
    lifeline.hold("ready")
    await server.serve_forever()


def _worker(path: str) -> None:
    vector = np.random.default_rng(0).random(_DIM, dtype=np.float32)

    def answer(wire: Wire, number: int, rows: int, payload: bytes) -> None:
        wire.send(number, rows, payload + np.repeat(vector[None], rows, axis=0).tobytes())

    uvloop.run(_serve(path, answer))


def _gateway(path: str, worker_path: str) -> None:
    waiting: dict[int, tuple[Wire, int]] = {}

    def back(_: Wire, own: int, rows: int, payload: bytes) -> None:
        client, number = waiting.pop(own)
        client.send(number, rows, payload)

    async def main() -> None:
        _, worker = await asyncio.get_running_loop().create_unix_connection(lambda: Wire(back), worker_path)
        last = 0

        def forward(client: Wire, number: int, rows: int, payload: bytes) -> None:
            nonlocal last
            last = (last + 1) % 2**32
            waiting[last] = (client, number)
            worker.send(last, rows, payload)

        await _serve(path, forward)

    uvloop.run(main())


async def _load(path: str, payload: bytes, rows: int, window: int, count: int) -> list[float]:
    """Keep `window` requests under way until `count` are answered; return when each answer came, from the start on."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    sent, arrived = 0, []

    def answered(wire: Wire, _number: int, rows: int, body: bytes) -> None:
        nonlocal sent
        np.frombuffer(body, np.float32, offset=len(payload)).reshape(rows, _DIM)
        arrived.append(time.perf_counter() - start)
        if sent < count:
            sent += 1
            wire.send(sent, rows, payload)
        elif len(arrived) == count:
            done.set_result(None)

    transport, wire = await loop.create_unix_connection(lambda: Wire(answered), path)
    start = time.perf_counter()
    for _ in range(min(window, count)):
        sent += 1
        wire.send(sent, rows, payload)
    await done
    transport.close()
    return arrived


class Ceiling:
    """The two servers, running."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ceiling-")
        worker, self._path = (str(Path(self._folder.name) / name) for name in ("worker.sock", "gateway.sock"))
        self._programs = [Program("ceiling.py", "worker", worker)]
        self._programs[0].answer()
        self._programs.append(Program("ceiling.py", "gateway", self._path, worker))
        self._programs[1].answer()

    @property
    def pids(self) -> list[int]:
        return [program.pid for program in self._programs]

    def requests_per_s(self, payload: bytes, rows: int, *, window: int, count: int) -> float:
        return count / uvloop.run(_load(self._path, payload, rows, window, count))[-1]

    def round_trips_s(self, payload: bytes, rows: int, count: int) -> list[float]:
        """How long each of `count` requests took, one after the other."""
        arrived = uvloop.run(_load(self._path, payload, rows, 1, count))
        return np.diff(arrived, prepend=0.0).tolist()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for program in self._programs:
            program.close()
        self._folder.cleanup()


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        _worker(sys.argv[2])
    else:
        _gateway(sys.argv[2], sys.argv[3])
