"""Rows: a no-op Executor behind our own channel and behind gRPC, each beside the ceiling of its wire.

Everything runs at once and is measured in turns, so that what disturbs one disturbs all.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from ceiling import Ceiling
from dure import Client, Document, DocumentArray, Flow
from dure.document.codec import encode
from grpc_ceiling import GrpcCeiling
from http_client import ask
from noop import Noop, documents
from peers.server import Server
from processes import cpu_s
from report import Row, raw
from series import Series, Work, interleaved
from sizes import Sizes
from vector import VECTOR

SIZE = 32
BUNDLE = 16
WINDOW = 64
PEER_CONNECTIONS = 4


class Bench:
    """What is measured, running, and how each thing is measured once."""

    def __init__(self, sizes: Sizes, flow: Flow, stack: contextlib.ExitStack, peer: Server | None) -> None:
        self._sizes = sizes
        self._flow = flow
        self._peer = peer
        # A real request and its real answer say how many bytes the ceilings have to pass.
        some = DocumentArray(documents(SIZE))
        self._request = b"".join(encode(some))
        self._single = b"".join(encode(some[:1]))
        reply_bytes = len(self._request) + SIZE * VECTOR.nbytes
        self.ceiling = stack.enter_context(Ceiling())
        self.grpc_ceiling = stack.enter_context(GrpcCeiling(len(self._request), reply_bytes))
        own, public = Client(port=flow.port, protocol="native"), Client(port=flow.port, protocol="grpc")
        self._clients = {"own": stack.enter_context(own), "grpc": stack.enter_context(public)}
        self._documents = DocumentArray(documents(sizes.noop_documents))

    def works(self) -> dict[str, Work]:
        sizes, flow = self._sizes, self._flow
        made = self._documents
        few = made[: sizes.grpc_documents]
        grpc_client = self._clients["grpc"]
        works: dict[str, Work] = {
            "ceiling 4": lambda: self._ceiling(4),
            "ceiling 16": lambda: self._ceiling(16),
            "own stream": lambda: self._stream(flow.stream, made, len(made)),
            "own post": lambda: self._stream(lambda *a, **k: [flow.post(*a, **k)], made, len(made)),
            "own generator": lambda: self._stream(flow.stream, documents(len(made)), len(made)),
            "grpc ceiling": lambda: self._grpc_ceiling(1),
            "grpc ceiling bundled": lambda: self._grpc_ceiling(BUNDLE),
            "grpc stream": lambda: self._stream(grpc_client.stream, few, len(few)),
            "single ceiling": lambda: _quantiles(self.ceiling.round_trips_s(self._single, 1, sizes.posts)),
            "single own": lambda: self._single_posts("own"),
            "single grpc": lambda: self._single_posts("grpc"),
            "single grpc ceiling": lambda: _quantiles(self.grpc_ceiling.round_trips_s(sizes.posts)),
        }
        peer = self._peer
        if peer is not None:
            works["mosec"] = lambda: self._bulk(peer)
            works["single mosec"] = lambda: _quantiles(
                list(ask(peer.port, [[self._documents[0].text]] * sizes.posts, 1, "msgpack").times_s)
            )
        return works

    def _stream(
        self, send: Callable[..., Iterable[DocumentArray]], docs: Iterable[Document], count: int
    ) -> dict[str, float]:
        pids = self._flow.pids()
        before, own = {name: cpu_s([pid]) for name, pid in pids.items()}, time.process_time()
        start = time.perf_counter()
        done = sum(len(results) for results in send("/", docs, request_size=SIZE))
        seconds = time.perf_counter() - start
        if done != count:
            raise RuntimeError(f"{count} documents were sent, {done} came back")
        used = {name: (cpu_s([pid]) - before[name]) / count * 1e6 for name, pid in pids.items()}
        return {
            "docs_per_s": count / seconds,
            "server_us": sum(used.values()),
            "gateway_us": used["gateway"],
            "client_us": (time.process_time() - own) / count * 1e6,
        }

    def _ceiling(self, window: int) -> dict[str, float]:
        count = self._sizes.noop_documents // SIZE
        before = cpu_s(self.ceiling.pids)
        rate = self.ceiling.requests_per_s(self._request, SIZE, window=window, count=count)
        return {
            "docs_per_s": rate * SIZE,
            "server_us": (cpu_s(self.ceiling.pids) - before) / (count * SIZE) * 1e6,
        }

    def _grpc_ceiling(self, bundle: int) -> dict[str, float]:
        count = self._sizes.grpc_documents // SIZE
        return {"docs_per_s": SIZE * self.grpc_ceiling.requests_per_s(bundle=bundle, window=WINDOW, count=count)}

    def _bulk(self, peer: Server) -> dict[str, float]:
        count = self._sizes.grpc_documents
        before = peer.cpu_s()
        got = ask(peer.port, [self._documents[:SIZE].texts] * (count // SIZE), PEER_CONNECTIONS, "msgpack")
        return got.rates() | {"server_us": (peer.cpu_s() - before) / count * 1e6}

    def _single_posts(self, name: str) -> dict[str, float]:
        client, one = self._clients[name], self._documents[0]
        times = []
        for _ in range(self._sizes.posts):
            start = time.perf_counter()
            client.post("/", inputs=one)
            times.append(time.perf_counter() - start)
        return _quantiles(times)


def _quantiles(times_s: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(times_s, (50, 99)) * 1e3
    return {"p50_ms": float(p50), "p99_ms": float(p99)}


def measure(sizes: Sizes, tell: Callable[[str], None], peer: Server | None = None) -> Iterator[Row]:
    with contextlib.ExitStack() as stack:
        flow = stack.enter_context(Flow().add(uses=Noop))
        bench = Bench(sizes, flow, stack, peer)
        works = bench.works()
        tell("warming up")
        for name, work in works.items():
            if not name.startswith("single"):
                work()
        found = interleaved(sizes.rounds, works, tell)
    yield from _throughput(sizes, found)
    yield from _grpc(sizes, found)
    yield from _latency(found)


def _samples(found: Mapping[str, Series], *names: str) -> dict[str, tuple[float, ...]]:
    return raw({key: one for key, one in found.items() if key.rpartition(".")[0] in names})


def _throughput(sizes: Sizes, found: Mapping[str, Series]) -> Iterator[Row]:
    top = found["ceiling 16.docs_per_s"]
    yield Row(
        f"ceiling of our own channel: three processes pass the same bytes, {SIZE} documents a request",
        f"{found['ceiling 4.docs_per_s'].text()} docs/s at 4 in flight, {top.text()} at 16;"
        f" {found['ceiling 16.server_us'].text(1)} µs of server CPU a document",
        samples=_samples(found, "ceiling 4", "ceiling 16"),
    )
    for name, work in (
        ("own stream", f"no-op, {SIZE} documents a request, f.stream on our own channel, documents made before"),
        ("own post", "the same with f.post, which keeps all answers and makes one of them"),
        ("own generator", "the same with f.stream, documents made meanwhile by a generator"),
    ):
        rate, server = found[f"{name}.docs_per_s"], found[f"{name}.server_us"]
        yield Row(
            f"{work} ({sizes.noop_documents:,} different ones)",
            f"{rate.text()} docs/s, {rate.over(top).text(2)} of the ceiling; server CPU {server.text(1)} µs a document"
            f" (gateway {found[f'{name}.gateway_us'].median:.1f}), client {found[f'{name}.client_us'].median:.1f}",
            ">= 250,000 docs/s, <= 4 µs",
            rate.median >= 250_000 and server.median <= 4,
            _samples(found, name),
        )
    if "mosec.docs_per_s" in found:
        rate = found["mosec.docs_per_s"]
        yield Row(
            f"mosec, msgpack over HTTP, {SIZE} documents a request",
            f"{rate.text()} docs/s; server CPU {found['mosec.server_us'].text(1)} µs a document;"
            f" dure's f.stream {found['own stream.docs_per_s'].over(rate).text(1)} x",
            samples=_samples(found, "mosec"),
        )


def _grpc(sizes: Sizes, found: Mapping[str, Series]) -> Iterator[Row]:
    single, bundled = found["grpc ceiling.docs_per_s"], found["grpc ceiling bundled.docs_per_s"]
    rate = found["grpc stream.docs_per_s"]
    yield Row(
        f"no-op, {SIZE} documents a request, public gRPC ({sizes.grpc_documents:,} documents)",
        f"{rate.text()} docs/s; grpc's own round trips with the same bytes: {single.text()} one request a message,"
        f" {bundled.text()} with {BUNDLE}; {rate.over(single).text(2)} of the former;"
        f" server CPU {found['grpc stream.server_us'].text(1)} µs a document",
        ">= 60,000 docs/s, or 0.8 of grpc's own",
        rate.median >= 60_000 or rate.over(single).median >= 0.8,
        _samples(found, "grpc stream", "grpc ceiling", "grpc ceiling bundled"),
    )


def _latency(found: Mapping[str, Series]) -> Iterator[Row]:
    for name, work, limit_ms in (
        ("single own", "our own channel", 0.3),
        ("single grpc", "gRPC", 1.5),
        ("single mosec", "mosec over HTTP", None),
    ):
        if f"{name}.p50_ms" not in found:
            continue
        ceiling = "single ceiling" if name == "single own" else "single grpc ceiling"
        p50 = found[f"{name}.p50_ms"]
        beside = "" if limit_ms is None else f"; ceiling {found[f'{ceiling}.p50_ms'].text(2)}"
        yield Row(
            f"one document there and back, open client, no-op: {work}",
            f"p50 {p50.text(2)} ms, p99 {found[f'{name}.p99_ms'].text(2)}{beside}",
            "" if limit_ms is None else f"p50 <= {limit_ms} ms",
            None if limit_ms is None else p50.median <= limit_ms,
            _samples(found, name, ceiling),
        )
