"""What a batch costs on its way to another node: over dure's frames, through calls of Ray, through its object store.

Each sends the same bytes to an actor on another node and has as many back, one call after the other, and several at a
time. Needs a cluster: `python benchmarks/ray_wire.py ADDRESS`. Prints a table in Markdown.
"""

import asyncio
import importlib
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from dure.transport.connection import Connection
from dure.transport.frames import Frame, Kind

SIZES = (1_536, 49_152, 1_048_576)
ROUNDS = 5
SECONDS = 1.0
AT_ONCE = 16


class Peer:
    """What stands on the other node: answers a frame, a call or a reference with as many bytes."""

    def listen(self) -> tuple[str, int]:
        """Answer frames on TCP, on a thread of its own."""
        import ray

        address: Any = ray.util.get_node_ip_address
        sock = socket.create_server((address(), 0))
        threading.Thread(target=self._serve, args=(sock,), daemon=True).start()
        host, port = sock.getsockname()[:2]
        return host, port

    def _serve(self, sock: socket.socket) -> None:
        import uvloop

        def back(connection: Connection, frame: Frame) -> None:
            connection.send(Kind.REPLY, frame.id, b"", [frame.body])

        async def run() -> None:
            loop = asyncio.get_running_loop()
            server = await loop.create_server(
                lambda: Connection(2**31, back, lambda connection: None, lambda connection: None), sock=sock
            )
            await server.serve_forever()

        uvloop.run(run())

    def back(self, data: bytes) -> bytes:
        """Give back what was sent with the call."""
        return data


async def frames(address: tuple[str, int], data: bytes, at_once: int) -> float:
    """Return round trips a second over dure's frames."""
    loop = asyncio.get_running_loop()
    done, end = 0, time.perf_counter() + SECONDS
    ended = loop.create_future()
    under_way = at_once

    def on_frame(connection: Connection, frame: Frame) -> None:
        nonlocal done, under_way
        done += 1
        if time.perf_counter() < end:
            connection.send(Kind.CALL, done, b"", [data])
            return
        under_way -= 1
        if not under_way and not ended.done():
            ended.set_result(None)

    connection = Connection(2**31, on_frame, lambda connection: None, lambda connection: None)
    await loop.create_connection(lambda: connection, *address)
    began = time.perf_counter()
    for number in range(at_once):
        connection.send(Kind.CALL, number, b"", [data])
    await ended
    took_s = time.perf_counter() - began
    connection.close()
    return done / took_s


def calls(ray: Any, send: Callable[[], Any], at_once: int) -> float:
    """Return round trips a second through Ray."""
    waiting = [send() for _ in range(at_once)]
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        ready, waiting = ray.wait(waiting, num_returns=1)
        ray.get(ready)
        done += 1
        waiting.append(send())
    ray.get(waiting)
    return (done + len(waiting)) / (time.perf_counter() - began)


def put_and_call(ray: Any, peer: Any, data: bytes) -> Any:
    """Have the bytes go through the object store."""
    return peer.back.remote(ray.put(data))


def main(address: str) -> None:
    """Measure, and print."""
    import uvloop

    ray: Any = importlib.import_module("ray")
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    here = ray.get_runtime_context().get_node_id()
    other = next(node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeID"] != here)
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(other, soft=False)
    peer: Any = ray.remote(Peer).options(max_concurrency=AT_ONCE, scheduling_strategy=strategy).remote()
    door = ray.get(peer.listen.remote())
    print(
        "| bytes each way | at once | frames /s | Ray call /s | ray.put + call /s | frames are faster than a call by |"
    )
    print("|---|---|---|---|---|---|")
    for size in SIZES:
        data = bytes(size)
        for at_once in (1, AT_ONCE):
            ours, direct, stored = [], [], []
            for _ in range(ROUNDS):  # in turn, so that what else the machine does falls on all of them
                ours.append(uvloop.run(frames(door, data, at_once)))
                direct.append(calls(ray, partial(peer.back.remote, data), at_once))
                stored.append(calls(ray, partial(put_and_call, ray, peer, data), at_once))
            a, b, c = (statistics.median(one) for one in (ours, direct, stored))
            print(f"| {size:,} | {at_once} | {a:,.0f} | {b:,.0f} | {c:,.0f} | {a / b:.1f}x |", flush=True)
    ray.kill(peer)
    ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
