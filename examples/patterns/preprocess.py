"""Preprocess-prediction: processes on the CPU make tokens, so that the model's device has nothing to do but the model.

    python preprocess.py [number of texts] [rounds]

The device is one core here; another one stands beside it. The texts are sentences, then web pages (HTML, from Python's
own pydoc), of which there is more to prepare. Without a number it takes 160 sentences, or as many as the environment
variable DURE_EXAMPLE_DOCS says, and a quarter as many pages.
"""

import os
import pydoc
import statistics
import sys
import time
from contextlib import ExitStack
from html.parser import HTMLParser
from importlib import import_module
from itertools import cycle, islice
from typing import Any

import numpy as np
import tokenizers

from dure import Document, DocumentArray, Executor, Flow, batching, requests
from dure.dataset import corpus
from dure.device.context import parse_context
from dure.executor.stages import stage
from dure.nlp.length_groups import GroupLimits, group_by_length
from dure.nlp.precision import Computing
from dure.nlp.sentence_config import SentenceConfig
from dure.nlp.snapshot import SENTENCE_FILES, resolve
from dure.nlp.transformer import load_transformer

MODEL = "all-MiniLM-L6-v2"
LIMITS = GroupLimits(max_waste=64, max_tokens=2048, max_rows=256)
MODULES = "argparse ast asyncio base64 bisect calendar cmd codecs collections configparser contextlib copy csv"
MODULES += " datetime decimal difflib email enum fractions ftplib functools gettext glob heapq hmac html http inspect"
MODULES += " ipaddress json locale logging mailbox numbers os pathlib pickle platform queue random re shelve socket ssl"


class Prepare(Executor):
    """The text of a document, or of a web page, to the model's tokens: `doc.tensor`, `(tokens,) int32`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        folder = resolve(MODEL, files=SENTENCE_FILES).folder
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(SentenceConfig.read(folder).max_length)

    @requests(on="/encode")
    @batching(max_batch_size=8)  # small batches: the model need not wait for a large one to be ready
    def prepare(self, docs: DocumentArray, **_: Any) -> None:
        texts = [shown(doc.text) if doc.mime_type == "text/html" else doc.text for doc in docs]
        tokens = self.tokenizer.encode_batch_fast(texts)
        docs.tensors = [np.array(found.ids, np.int32) for found in tokens]
        docs.texts = [""] * len(docs)  # nobody behind needs it, and it would travel


class Model(Executor):
    """Tokens to embeddings: the transformer, the mean over a text's tokens, length 1."""

    def __init__(self, device: str = "cpu", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        import torch  # here: who only prepares does not need it

        self.torch = torch
        snapshot = resolve(MODEL, files=SENTENCE_FILES)
        snapshot.verify()
        self.transformer = load_transformer(snapshot.folder, parse_context(device), Computing())
        self.device = device

    @requests(on="/encode")
    @batching(max_batch_size=8)
    def encode(self, docs: DocumentArray, **_: Any) -> None:
        tokens = list(docs.tensors)
        lengths = np.array([len(row) for row in tokens])
        embeddings = np.empty((len(docs), self.transformer.hidden_size), np.float32)
        for rows in group_by_length(lengths, LIMITS):
            embeddings[rows] = self.embedded([tokens[row] for row in rows], lengths[rows])
        docs.embeddings = embeddings
        docs.tensors = [None] * len(docs)

    def embedded(self, tokens: list[np.ndarray], lengths: np.ndarray) -> np.ndarray:
        torch = self.torch
        mask = np.arange(lengths.max()) < lengths[:, None]  # (rows, tokens)
        ids = np.full(mask.shape, self.transformer.pad_id, np.int64)
        ids[mask] = np.concatenate(tokens)
        with stage("device"), torch.inference_mode():
            there, real = (torch.from_numpy(array).to(self.device) for array in (ids, mask.astype(np.int64)))
            hidden = self.transformer(there, real)  # (rows, tokens, hidden_size)
            mean = (hidden * real[..., None]).sum(1) / real.sum(1, keepdim=True)
            embeddings: np.ndarray = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
        return embeddings


class Shown(HTMLParser):
    """What a reader sees of a web page, in `pieces`."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in ("head", "script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("head", "script", "style")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.pieces += data.split()


def shown(page: str) -> str:
    parser = Shown()
    parser.feed(page)
    parser.close()
    return " ".join(parser.pieces)


def main() -> None:
    num_docs = int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("DURE_EXAMPLE_DOCS", "160"))
    num_rounds = int(sys.argv[2] if len(sys.argv) > 2 else os.environ.get("DURE_EXAMPLE_ROUNDS", "5"))
    ways = {
        "all in one process": flow_of(group="all"),
        "prepare | model": flow_of(),
        "all in one, 2 replicas": flow_of(group="all", replicas=2),
    }
    with ExitStack() as running:
        for flow in ways.values():
            running.enter_context(flow)
            saturated(flow, sentences(32))  # the first requests are slow
        print(f"{num_rounds} rounds; median (least-most) of the rounds")
        print(f"{'':24} {'texts':>14} {'docs/s':>20} {'device idle, %':>18}")
        for kind, docs in (("sentences", sentences(num_docs)), ("web pages", pages(max(1, num_docs // 4)))):
            rounds = [{name: saturated(flow, docs) for name, flow in ways.items()} for _ in range(num_rounds)]
            for name in ways:
                rate, idle = zip(*(one[name] for one in rounds), strict=True)
                share = spread([100 * one for one in idle])
                print(f"{name:24} {len(docs):4} {kind} {spread(rate):>20} {share:>18}")


def flow_of(**settings: Any) -> Flow:
    """Return a Flow of both Executors; with `group=` in one process."""
    flow = Flow().add(uses=Prepare, name="prepare", cpu_threads=1, **settings)
    return flow.add(uses=Model, name="model", **(settings or {"cpu_threads": 1}))


def sentences(count: int) -> DocumentArray:
    return DocumentArray(Document(text=text) for text in corpus.read(count))


def pages(count: int) -> DocumentArray:
    """Return web pages, those of some modules again and again."""
    html = pydoc.HTMLDoc()
    found = [html.document(import_module(name), name) for name in MODULES.split()[:count]]
    return DocumentArray(Document(text=page, mime_type="text/html") for page in islice(cycle(found), count))


def saturated(flow: Flow, docs: DocumentArray) -> tuple[float, float]:
    """Send all at once; return documents per second, and the share of time in which the model's devices did nothing."""
    before = device_seconds(flow)
    began = time.perf_counter()
    flow.post("/encode", docs, request_size=4)
    took = time.perf_counter() - began
    busy = [after - earlier for after, earlier in zip(device_seconds(flow), before, strict=True)]
    return len(docs) / took, 1 - statistics.mean(busy) / took


def device_seconds(flow: Flow) -> list[float]:
    """Return for each replica that has a model how long its device has computed."""
    figures = flow.metrics()
    return [figures[name].stages.get("device", 0.0) for name in figures if not name.startswith("prepare")]


def spread(values: Any) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


if __name__ == "__main__":
    main()
