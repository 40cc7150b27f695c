"""Rows: 64 clients with one document each, of very different lengths; and what grouping requests by length gives.

The loops of the bare library run right before and after each run of a Flow, in a process of their own.
"""

import contextlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from clients import drive
from dure import Flow
from mixed_texts import mixed
from padded_encoder import PaddedEncoder
from processes import Program, cpu_s
from report import Row, raw
from rows.encoder import OWN, flow_of, model_folder, same_threads
from series import Series, interleaved
from sizes import Sizes

CLIENTS = 64
WORDS = 5, 120
LONG_WORDS = 6, 400
BY_LENGTH = {"max_batch_size": CLIENTS, "cost": "tokens", "max_padding": 0.1}
IN_ORDER = {"max_batch_size": CLIENTS}


def measure(sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Row]:
    """64 clients against the bare library over all texts at once."""
    model = model_folder()
    texts = mixed(sizes.mixed_documents, *WORDS)
    found: defaultdict[str, list[float]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        bare = stack.enter_context(
            Program("bare_encoder.py", str(model), "cpu", str(folder / "texts.json"), env=same_threads())
        )
        bare.answer()
        flow = stack.enter_context(flow_of(OWN, {}, model))

        def loops() -> dict[int, dict[str, Any]]:
            return {size: bare.ask({"size": len(texts), "count": len(texts), "batch": size}) for size in (64, 8)}

        drive(flow.port, texts[:CLIENTS], CLIENTS)
        before = loops()
        for number in range(sizes.rounds):
            cpu_before, pids = 0.0, flow.pids().values()
            cpu_before = cpu_s(pids)
            got = drive(flow.port, texts, CLIENTS)
            used_s = cpu_s(pids) - cpu_before
            after = loops()
            for size in (64, 8):
                bare_s = (before[size]["seconds"] + after[size]["seconds"]) / 2
                bare_cpu_s = (before[size]["cpu_s"] + after[size]["cpu_s"]) / 2
                found[f"ratio {size}"].append(got["docs_per_s"] * bare_s / len(texts))
                found[f"cpu ratio {size}"].append(bare_cpu_s / used_s)
            for unit, value in got.items():
                found[unit].append(value)
            before = after
            tell(f"round {number + 1} of {sizes.rounds}: {found['ratio 64'][-1]:.2f} x encode(all, 64)")
    series = {name: Series.of(values) for name, values in found.items()}
    first, second = series["ratio 64"], series["ratio 8"]
    yield Row(
        f"{CLIENTS} clients, one document each, {WORDS[0]} to {WORDS[1]} words, SentenceEncoder",
        f"{first.text(2)} x encode(all, batch_size=64), {second.text(2)} x encode(all, batch_size=8);"
        f" by CPU time {series['cpu ratio 64'].text(2)} and {series['cpu ratio 8'].text(2)};"
        f" {series['docs_per_s'].text(1)} docs/s, p50 {series['p50_ms'].text()} ms, p99 {series['p99_ms'].text()} ms",
        ">= 1.05 x and >= 0.90 x",
        first.median >= 1.05 and second.median >= 0.9,
        raw(series),
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
