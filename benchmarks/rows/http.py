"""Rows: one document in, 384 floats out as JSON, a no-op behind HTTP: dure beside bare uvicorn and other frameworks.

All of them run at once; those that poll are held still while others are asked.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from dure import Flow
from http_client import ask
from http_load import TOOL, WRK, load
from noop import Noop
from peers.environment import Environment
from peers.server import Server
from processes import cpu_s
from report import Row, raw
from series import Series, Work, interleaved
from sizes import Sizes
from vector import VECTOR

CLIENTS = 1, 64
TOLERANCE = 1e-4
JOB = "no-op over HTTP, one document in, 384 floats out as JSON"
BARE = "bare uvicorn, orjson"
BOUNDS = {BARE: ("uvicorn", False), "FastAPI, async, orjson": ("fastapi", False)}
PEERS = {
    "mosec": ("mosec", False),
    "mosec with batching": ("mosec", True),
    "LitServe": ("litserve", False),
    "LitServe with batching": ("litserve", True),
    "BentoML": ("bentoml", False),
    "BentoML with batching": ("bentoml", True),
}


def measure(sizes: Sizes, tell: Callable[[str], None], peers: Environment | None) -> Iterator[Row]:
    skipped: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        works: dict[str, Work] = {}
        for name, server in _servers(stack, peers, skipped, tell):
            check(server.port)
            server.pause()
            for clients in CLIENTS:
                works[f"{name} {clients}"] = partial(_ask_peer, server, clients, sizes.http_s)
        flow = stack.enter_context(Flow(protocol="http").add(uses=Noop, batching={"max_batch_size": 64}))
        check(flow.port)
        for clients in CLIENTS:
            works[f"dure {clients}"] = partial(_ask_flow, flow, clients, sizes.http_s)
        found = interleaved(sizes.rounds, works, tell)
    yield from _own(found)
    for name in (*BOUNDS, *PEERS):
        if f"{name} 1.p50_ms" in found:
            yield _peer(name, found)
    for name, why in skipped.items():
        yield Row(f"{JOB}: {name}", f"skipped: {why}")


def check(port: int) -> None:
    """Warm a server up by several clients, one and two documents to a request.

    Raises:
        RuntimeError: What comes back is not the vector.
    """
    got = ask(port, [["a"], ["b", "c"]] * 100, 8)
    if max(float(np.abs(rows - VECTOR).max()) for rows in got.embeddings) > TOLERANCE:
        raise RuntimeError(f"port {port} answers other vectors")


def _servers(
    stack: contextlib.ExitStack, peers: Environment | None, skipped: dict[str, str], tell: Callable[[str], None]
) -> Iterator[tuple[str, Server]]:
    if peers is None:
        skipped["bare uvicorn and other frameworks"] = "peers were not asked for"
        return
    for name, (peer, batching) in {**BOUNDS, **PEERS}.items():
        tell(f"starts {name}")
        if not peers.has(peer):
            skipped[name] = peers.missing[peer]
            continue
        try:
            yield name, stack.enter_context(peers.start(peer, batching=batching))
        except RuntimeError as error:
            skipped[name] = " ".join(str(error).split())[-300:]


def _ask_peer(server: Server, clients: int, seconds: float) -> dict[str, float]:
    with server.awake():
        return _ask(server.port, server.pids, clients, seconds)


def _ask_flow(flow: Flow, clients: int, seconds: float) -> dict[str, float]:
    return _ask(flow.port, list(flow.pids().values()), clients, seconds)


def _ask(port: int, pids: list[int], clients: int, seconds: float) -> dict[str, float]:
    before = cpu_s(pids)
    got = load(port, clients, seconds)
    return got | {"server_us": (cpu_s(pids) - before) / got["requests"] * 1e6}


def _numbers(found: Mapping[str, Series], name: str, digits: int) -> str:
    rate, p50, p99 = (found[f"{name}.{unit}"] for unit in ("requests_per_s", "p50_ms", "p99_ms"))
    failed = sum(found[f"{name}.failed"].values)
    return (
        f"{rate.text()} requests/s, p50 {p50.text(digits)} ms, p99 {p99.text(digits)},"
        f" {found[f'{name}.server_us'].text()} µs of server CPU a request"
        + (f", {failed:.0f} failed" if failed else "")
    )


def _samples(found: Mapping[str, Series], name: str) -> dict[str, tuple[float, ...]]:
    return raw({key: one for key, one in found.items() if key.rpartition(".")[0] == name})


def _own(found: Mapping[str, Series]) -> Iterator[Row]:
    p50, rate = found["dure 1.p50_ms"], found["dure 64.requests_per_s"]
    beside = ""
    # Who has no bound beside it may fall short of the target, but not reach it.
    enough = None if rate.median >= 15_000 else False
    if f"{BARE} 64.requests_per_s" in found:
        ratio = rate.over(found[f"{BARE} 64.requests_per_s"])
        beside, enough = f"{ratio.text(2)} x bare uvicorn; ", rate.median >= 15_000 and ratio.median >= 0.5
    one, many = ("1 client", "64 clients") if WRK else (f"1 client ({TOOL})", f"64 clients ({TOOL})")
    yield Row(
        f"{JOB}, {one}: dure, batching on",
        _numbers(found, "dure 1", 2),
        "p50 <= 0.3 ms",
        p50.median <= 0.3 if WRK else None,
        _samples(found, "dure 1"),
    )
    yield Row(
        f"{JOB}, {many}: dure, batching on",
        f"{beside}{_numbers(found, 'dure 64', 1)}",
        ">= 15,000 requests/s and >= 0.5 x bare uvicorn",
        enough if WRK else None,
        _samples(found, "dure 64"),
    )


def _peer(name: str, found: Mapping[str, Series]) -> Row:
    one, many = (
        found[f"dure {clients}.requests_per_s"].over(found[f"{name} {clients}.requests_per_s"]) for clients in CLIENTS
    )
    return Row(
        f"{JOB}: {name}" + ("" if WRK else f" ({TOOL})"),
        f"1 client: {_numbers(found, f'{name} 1', 2)}; 64 clients: {_numbers(found, f'{name} 64', 1)};"
        f" dure's requests/s {one.text(2)} x and {many.text(2)} x of these",
        samples=_samples(found, f"{name} 1") | _samples(found, f"{name} 64"),
    )
