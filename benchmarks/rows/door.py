"""Rows: the front door. What the guard costs, embeddings packed or not, a flood beside a light client, idle sockets."""

import asyncio
import base64
import contextlib
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from dure import AsyncClient, Flow
from dure.gateway.keys import Key, Scope, add
from dure.gateway.limits import Limits
from http_load import TOOL, WRK, load
from noop import Noop
from processes import Program, cpu_s, memory_mb
from report import Row, Skipped, raw
from series import Series, interleaved
from sizes import Sizes
from sleepers import Batched

CLIENTS = 64
FAR = 1e12
"""A limit that is counted and never reached."""
LIMITS = Limits(max_requests_per_s=FAR, max_rows_per_s=FAR, max_bytes_per_s=FAR, max_concurrent=10**6)
OF_ADDRESS = {f"{name}_per_address": value for name, value in msgspec.structs.asdict(LIMITS).items() if value}
ROWS = 64
CALL_S = 0.02
FLOOD = 64
FILES = 500  # that a process has open beside its connections


def guard(sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Row]:
    """What keys, limits and an audit log cost a no-op over HTTP."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plain, limited = str(folder / "plain.json"), str(folder / "limited.json")
        settings: dict[str, tuple[dict[str, Any], str]] = {
            "none": ({}, ""),
            "a key": ({"keys_file": plain}, _key(plain)),
            "a key, every limit of it and of its address": (
                {"keys_file": limited, **OF_ADDRESS},
                _key(limited, LIMITS),
            ),
        }
        words, key = settings["a key, every limit of it and of its address"]
        settings["the same and an audit log"] = ({**words, "audit_file": str(folder / "audit.jsonl")}, key)
        works = {}
        for name, (given, secret) in settings.items():
            flow = stack.enter_context(Flow(protocol="http", **given).add(uses=Noop, batching={"max_batch_size": 64}))
            load(flow.port, CLIENTS, 0.5, secret)
            works[name] = partial(load, flow.port, CLIENTS, sizes.http_s, secret)
        found = interleaved(sizes.rounds, works, tell)
    bare = found["none.requests_per_s"]
    for name in list(settings)[1:]:
        rate = found[f"{name}.requests_per_s"]
        cost = Series(tuple((1 - one) * 100 for one in rate.over(bare).values))
        limits = "limit" in name
        yield Row(
            f"no-op over HTTP, {CLIENTS} clients: {name}{'' if WRK else f' ({TOOL})'}",
            f"{rate.text()} requests/s, {cost.text(1)} % fewer than without ({bare.text()})",
            ">= 13,000 requests/s, <= 10 % fewer" if limits else "",
            (rate.median >= 13_000 and cost.median <= 10) if limits else None,
            raw({"requests_per_s": rate, "percent": cost}),
        )


def packed(sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Row]:
    """The same embeddings to real clients, as lists of numbers in JSON and as bytes."""
    try:
        import openai
        import tritonclient.http as triton
    except ImportError as error:
        raise Skipped(f"{error.name} is not installed") from error
    texts = [f"text {number}" for number in range(ROWS)]
    with Flow(protocol="http").add(uses=Noop) as flow, contextlib.ExitStack() as stack:
        speaker = stack.enter_context(openai.OpenAI(base_url=f"http://127.0.0.1:{flow.port}/v1", api_key="none"))
        asker: Any = triton.InferenceServerClient(f"127.0.0.1:{flow.port}")
        stack.callback(asker.close)

        def by_openai(form: Any) -> int:
            # Told no form, the client asks for base64 and unpacks it; told one, it hands on what it gets.
            got: Any = speaker.embeddings.create(model="encode", input=texts, encoding_format=form).data
            rows = [one.embedding for one in got]
            if form == "base64":
                rows = [np.frombuffer(base64.b64decode(row), "<f4") for row in rows]
            return len(np.asarray(rows, np.float32))

        def by_triton(*, binary: bool) -> int:
            column = triton.InferInput("text", [ROWS], "BYTES")
            column.set_data_from_numpy(np.array(texts, object), binary_data=binary)
            wanted = [triton.InferRequestedOutput("embedding", binary_data=binary)]
            return len(asker.infer("encode", [column], outputs=wanted).as_numpy("embedding"))

        works = {
            "openai, float lists": partial(by_openai, "float"),
            "openai, base64": partial(by_openai, "base64"),
            "tritonclient, lists": partial(by_triton, binary=False),
            "tritonclient, binary": partial(by_triton, binary=True),
        }
        found = interleaved(
            sizes.rounds, {name: partial(_rate, one, sizes.http_s) for name, one in works.items()}, tell
        )
    for client, lists, bytes_ in (("openai", *list(works)[:2]), ("tritonclient", *list(works)[2:])):
        slow, fast = found[f"{lists}.docs_per_s"], found[f"{bytes_}.docs_per_s"]
        ratio = fast.over(slow)
        yield Row(
            f"{ROWS} embeddings of 384 numbers a request, one {client} client: {bytes_.split(', ')[1]} against JSON",
            f"{ratio.text(1)} x; {fast.text()} docs/s against {slow.text()}",
            ">= 5 x",
            ratio.median >= 5,
            raw({"packed": fast, "lists": slow}),
        )


def flood(sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Row]:
    """The latency of a client that sends one request at a time, alone and while another keeps the service full."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "keys.json")
        light, heavy = _key(path, name="light"), _key(path, name="heavy")
        with Flow(keys_file=path).add(uses=Batched, uses_with={"seconds": CALL_S}) as flow:
            works = {
                "alone": lambda: asyncio.run(_beside(flow.port, light, None, sizes.light_posts)),
                "beside": lambda: asyncio.run(_beside(flow.port, light, heavy, sizes.light_posts)),
            }
            found = interleaved(sizes.rounds, works, tell)
    alone, beside = (found[f"{name}.p99_ms"] for name in ("alone", "beside"))
    ratio = beside.over(alone)
    yield Row(
        f"calls of {CALL_S * 1e3:.0f} ms, up to 8 documents: p99 of a client with one request at a time, while another"
        f" has {FLOOD} under way, over its p99 alone",
        f"{ratio.text(2)} x; p99 {beside.text(1)} against {alone.text(1)} ms,"
        f" p50 {found['beside.p50_ms'].text(1)} against {found['alone.p50_ms'].text(1)};"
        f" the other {found['beside.others'].text()} docs/s",
        "<= 2 x",
        ratio.median <= 2,
        raw(found),
    )


def sockets(sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Row]:
    """Many clients connected by WebSocket who say nothing, and one who does."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(sizes.sockets, hard - FILES) if hard != resource.RLIM_INFINITY else sizes.sockets
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft[0], min(count + FILES, hard)), hard))
    with Flow(protocol="websocket").add(uses=Noop) as flow, Program("sockets.py", str(flow.port)) as crowd:
        gateway = flow.pids()["gateway"]
        before = memory_mb(gateway)[0]
        told = crowd.ask({"open": count})
        tell(f"{told['open']:,} connections")
        memory = memory_mb(gateway)[0]
        used = cpu_s([gateway])
        time.sleep(sizes.idle_s)
        share = (cpu_s([gateway]) - used) / sizes.idle_s * 100
        answered = crowd.ask({"ask": 200})
    open_, each_kb = told["open"], (memory - before) * 1e3 / max(told["open"], 1)
    yield Row(
        f"{count:,} WebSockets, all but one idle",
        f"{open_:,} held, opened at {open_ / told['seconds']:,.0f}/s; {each_kb:.1f} kB of the gateway's memory each;"
        f" {share:.1f} % of a core while idle; 200 of them asked in turn: p50 {answered['p50_ms']:.2f} ms,"
        f" p99 {answered['p99_ms']:.2f}",
        "10,000 held",
        open_ >= 10_000 and answered["answered"] == 200,
    )


def _key(path: str, limits: Limits = Limits(), name: str = "bench") -> str:  # noqa: B008 - it is frozen
    def made(number: str, salt: str, digest: str) -> Key:
        return Key(id=number, name=name, salt=salt, hash=digest, scopes=[Scope.INFER], limits=limits)

    return add(Path(path), made)


def _rate(work: Callable[[], int], seconds: float) -> Mapping[str, float]:
    work()
    begin, done = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        done += work()
    return {"docs_per_s": done / (time.perf_counter() - begin)}


async def _beside(port: int, light: str, heavy: str | None, posts: int) -> Mapping[str, float]:
    """Return the latency of `posts` requests of one client, with or without another beside it."""
    times: list[float] = []
    others = 0
    begin = time.perf_counter()

    async def crowd(client: AsyncClient) -> None:
        nonlocal others
        while len(times) < posts:
            await client.post("/work", "x")
            others += 1

    async with contextlib.AsyncExitStack() as stack:
        few = await stack.enter_async_context(AsyncClient(port=port, protocol="grpc", key=light))
        tasks = []
        if heavy is not None:
            many = await stack.enter_async_context(AsyncClient(port=port, protocol="grpc", key=heavy))
            tasks = [asyncio.create_task(crowd(many)) for _ in range(FLOOD)]
            await asyncio.sleep(0.5)
        for _ in range(posts):
            start = time.perf_counter()
            await few.post("/work", "x")
            times.append(time.perf_counter() - start)
            await asyncio.sleep(0.005)
        await asyncio.gather(*tasks)
    p50, p99 = np.percentile(times, (50, 99)) * 1e3
    return {"p50_ms": float(p50), "p99_ms": float(p99), "others": others / (time.perf_counter() - begin)}
