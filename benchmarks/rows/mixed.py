"""Rows: 64 clients with one document each, of very different lengths; and what grouping requests by length gives.

The loops of the bare library run right before and after each run, in a process of their own.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from beside import Beside, of_flow, of_peer, start_peers
from clients import drive
from dure import Flow
from mixed_texts import mixed
from padded_encoder import PaddedEncoder
from peers.environment import Environment
from processes import Program
from report import Row, raw
from rows.encoder import OWN, flow_of, model_folder, same_threads
from series import Series, interleaved
from sizes import Sizes

CLIENTS = 64
WORDS = 5, 120
JOB = f"{CLIENTS} clients, one document each, {WORDS[0]} to {WORDS[1]} words"
LONG_WORDS = 6, 400
BY_LENGTH = {"max_batch_size": CLIENTS, "cost": "tokens", "max_padding": 0.1}
IN_ORDER = {"max_batch_size": CLIENTS}


def measure(sizes: Sizes, tell: Callable[[str], None], peers: Environment | None) -> Iterator[Row]:
    """64 clients against the bare library over all texts at once."""
    model = model_folder()
    texts = mixed(sizes.mixed_documents, *WORDS)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        bare = stack.enter_context(
            Program("bare_encoder.py", str(model), "cpu", str(folder / "texts.json"), env=same_threads())
        )
        bare.answer()
        beside = Beside(bare, texts, {64: len(texts), 8: len(texts)})
        tell("loads the models")
        flow = stack.enter_context(flow_of(OWN, {}, model))
        servers, skipped = start_peers(stack, peers, str(model), same_threads())
        contenders = {"dure": of_flow(flow, lambda: drive(flow.port, texts, CLIENTS))}
        contenders |= {name: of_peer(server, texts, 1, CLIENTS) for name, server in servers.items()}
        drive(flow.port, texts[:CLIENTS], CLIENTS)
        for name, contender in contenders.items():
            beside.check(name, contender)
        found = beside.measure(sizes.rounds, contenders, tell)
    yield from _rows(found, list(servers))
    for name, why in skipped.items():
        yield Row(f"{JOB}: {name}", f"skipped: {why}")


def _rows(found: Mapping[str, Series], peers: list[str]) -> Iterator[Row]:
    for name in ("dure", *peers):
        first, second = found[f"{name}.ratio 64"], found[f"{name}.ratio 8"]
        own = name == "dure"
        yield Row(
            f"{JOB}: {'SentenceEncoder' if own else f'{name} with batching'}",
            f"{first.text(2)} x encode(all, batch_size=64), {second.text(2)} x encode(all, batch_size=8);"
            f" by CPU time {found[f'{name}.cpu ratio 64'].text(2)} and {found[f'{name}.cpu ratio 8'].text(2)};"
            f" {found[f'{name}.docs_per_s'].text(1)} docs/s, p50 {found[f'{name}.p50_ms'].text()} ms,"
            f" p99 {found[f'{name}.p99_ms'].text()} ms",
            ">= 1.05 x and >= 0.90 x" if own else "",
            first.median >= 1.05 and second.median >= 0.9 if own else None,
            raw({key: one for key, one in found.items() if key.startswith(f"{name}.")}),
        )
    if peers:
        best = min(peers, key=lambda name: found[f"{name}.p99_ms"].median)
        p99 = found["dure.p99_ms"].over(found[f"{best}.p99_ms"])
        yield Row(
            f"{JOB}: dure's p99 over that of the best peer, {best}",
            f"{p99.text(2)} x; docs/s {found['dure.docs_per_s'].over(found[f'{best}.docs_per_s']).text(2)} x",
            "<= 1.00 x",
            p99.median <= 1.0,
        )


def by_length(sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Row]:
    """An encoder that pads whatever it gets: requests in the order they came against requests of like length."""
    texts = mixed(sizes.long_documents, *LONG_WORDS, seed=11)
    settings: dict[str, Any] = {"uses": PaddedEncoder, "uses_with": {"model": str(model_folder())}}
    with contextlib.ExitStack() as stack:
        flows = {
            name: stack.enter_context(Flow().add(**settings, env=same_threads(), batching=batching))
            for name, batching in (("in order", IN_ORDER), ("by length", BY_LENGTH))
        }

        def run(flow: Flow) -> dict[str, float]:
            flow.post("/padding", "")
            got = drive(flow.port, texts, CLIENTS)
            told = flow.post("/padding", "").parameters["__results__"]
            return got | {"padding": next(iter(told.values()))["share"]}

        for flow in flows.values():
            drive(flow.port, texts[:CLIENTS], CLIENTS)
        found = interleaved(sizes.rounds, {name: partial(run, flow) for name, flow in flows.items()}, tell)
    ratio = found["by length.docs_per_s"].over(found["in order.docs_per_s"])
    padding = found["by length.padding"]
    yield Row(
        f"{CLIENTS} clients, texts of {LONG_WORDS[0]} to {LONG_WORDS[1]} words (8 to 512 tokens), an encoder that pads"
        " what it gets: requests merged by like length against in order",
        f"{ratio.text(2)} x docs/s; padding {padding.text(3)} against {found['in order.padding'].text(3)};"
        f" {found['by length.docs_per_s'].text(1)} docs/s, p99 {found['by length.p99_ms'].text()} against"
        f" {found['in order.p99_ms'].text()} ms",
        ">= 1.4 x, padding < 0.15",
        ratio.median >= 1.4 and padding.median < 0.15,
        raw(found),
    )
