"""Rows: the tutorial's job, requests of 32 sentences, four in flight: the CPU time that a document costs the bare
library over that which it costs a server; dure beside other frameworks.

The sentences differ, but hardly in length: sorting them or merging requests gains nothing, so serving is what costs.
"""

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from beside import Beside, Contender, of_flow, of_peer, start_peers
from dure import Client, DocumentArray, Flow
from peers.environment import Environment
from processes import Program
from report import Row, raw
from rows.encoder import EXAMPLE, OWN, REQUEST_SIZE, flow_of, model_folder, same_threads
from series import Series
from sizes import Sizes

IN_FLIGHT = 4
JOB = f"the tutorial's job, sentences of one length, requests of {REQUEST_SIZE}, {IN_FLIGHT} in flight"
FLOWS = {
    "dure, the tutorial's Executor": str(EXAMPLE / "tutorial" / "executor.py"),
    "dure, SentenceEncoder": OWN,
}


def measure(sizes: Sizes, tell: Callable[[str], None], peers: Environment | None) -> Iterator[Row]:
    model = model_folder()
    texts = [
        f"Using a GPU allows you to significantly speed up encoding ({n})." for n in range(sizes.tutorial_documents)
    ]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        bare = stack.enter_context(
            Program("bare_encoder.py", str(model), "cpu", str(folder / "texts.json"), env=same_threads())
        )
        bare.answer()
        beside = Beside(bare, texts, {REQUEST_SIZE: REQUEST_SIZE})
        tell("loads the models")
        contenders: dict[str, Contender] = {}
        for name, uses in FLOWS.items():
            flow = stack.enter_context(flow_of(uses, {}, model))
            contenders[name] = of_flow(flow, partial(_post, flow, texts))
        servers, skipped = start_peers(stack, peers, str(model), same_threads())
        for name, server in servers.items():
            contenders[name] = of_peer(server, texts, REQUEST_SIZE, IN_FLIGHT)
        for name, contender in contenders.items():
            beside.check(name, contender)
        found = beside.measure(sizes.rounds, contenders, tell)
    for name in contenders:
        yield _row(name, found, list(servers))
    for name, why in skipped.items():
        yield Row(f"{JOB}: {name}", f"skipped: {why}")


def _post(flow: Flow, texts: list[str]) -> Mapping[str, float]:
    with Client(port=flow.port, protocol="native", max_in_flight=IN_FLIGHT) as client:
        begin = time.perf_counter()
        results = client.post("/encode", texts, request_size=REQUEST_SIZE)
        seconds = time.perf_counter() - begin
    if not isinstance(results, DocumentArray) or len(results) != len(texts):
        raise RuntimeError(f"{len(texts)} documents were sent, {results} came back")
    return {"docs_per_s": len(texts) / seconds}


def _row(name: str, found: Mapping[str, Series], peers: list[str]) -> Row:
    cpu, ratio = found[f"{name}.cpu ratio {REQUEST_SIZE}"], found[f"{name}.ratio {REQUEST_SIZE}"]
    beside = ""
    own = name in FLOWS
    if own and peers:
        best = max(peers, key=lambda peer: found[f"{peer}.cpu ratio {REQUEST_SIZE}"].median)
        beside = f" ({cpu.over(found[f'{best}.cpu ratio {REQUEST_SIZE}']).text(2)} x the best peer, {best})"
    return Row(
        f"{JOB}: {name}" + ("" if own else " with batching"),
        f"{cpu.text(2)} x the bare library by CPU time{beside}, {ratio.text(2)} x by the clock;"
        f" {found[f'{name}.docs_per_s'].text()} docs/s",
        ">= 0.95 x by CPU time" if own else "",
        cpu.median >= 0.95 if own else None,
        raw({key: one for key, one in found.items() if key.startswith(f"{name}.")}),
    )
