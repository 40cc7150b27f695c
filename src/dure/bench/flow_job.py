"""The tutorial's job: texts through a Flow, 32 to a request, on one device; and dure's encoder without a Flow.

The tutorial's Executor, dure's own and the loop in plain PyTorch take turns over the same texts.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from dure.bench.encoding import Encoding
from dure.bench.plain_model import Setting
from dure.bench.settings import least_cosine
from dure.bench.timing import Effort, Spread, Work, compared, ratio, timed
from dure.bench.tokenizing import IN_LINE, source
from dure.bench.transferred import counted
from dure.device.transfer import Moved
from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.errors import ModelError
from dure.flow.flow import Flow
from dure.nlp.encoder import SentenceEncoder

REQUEST_SIZE = 32
TUTORIAL, OWN = "the tutorial's Executor", "SentenceEncoder"
_USES = {TUTORIAL: "dure.bench.tutorial.TutorialEncoder", OWN: "dure.nlp.encoder.SentenceEncoder"}
_MERGED = 256  # texts of a call of SentenceEncoder, if there are as many waiting
_ALIKE = 0.999


@dataclass(frozen=True, slots=True)
class Job:
    """The same texts encoded in one way.

    Args:
        device: Where.
        way: How: which Executor, or the loop.
        num_texts: Texts of a pass.
        docs_per_s: Texts per second.
        steps_per_s: Requests of 32 per second, as the tutorial counts.
        against_loop: Times the rate of the loop in plain PyTorch, round by round.
        moved: What the ledger counted for a pass, where it stands in this process; no waiting is counted on the way in.
    """

    device: str
    way: str
    num_texts: int
    docs_per_s: Spread
    steps_per_s: Spread
    against_loop: Spread
    moved: Moved | None = None


def flow_jobs(encoding: Encoding, folder: Path, count: int, effort: Effort) -> list[Job]:
    """Measure both Executors in a Flow beside the loop with as large batches.

    Args:
        encoding: Model and device.
        folder: The model's files.
        count: Texts of a pass.
        effort: How long.

    Raises:
        ModelError: The ways do not give the same embeddings.
        StartFailed: A Flow did not start.
    """
    docs = documents(encoding.taken(count))
    settings = {"model": str(folder), "device": encoding.context.torch_name}
    with ExitStack() as stack:
        works: dict[str, Work] = {loop_name(_MERGED): _loop(encoding, _MERGED, count, stack)}
        for name, uses in _USES.items():
            flow = stack.enter_context(Flow().add(uses=uses, uses_with=settings))
            works[name] = _Posting(flow, docs)
        _check([work for work in works.values() if isinstance(work, _Posting)], encoding)
        rounds = compared(works, encoding.clocks.around, effort)
    return told(str(encoding.context), count, rounds, loop_name(_MERGED))


def bare_jobs(
    encoding: Encoding, folder: Path, batch_sizes: Sequence[int], docs_per_s: float, effort: Effort
) -> list[Job]:
    """Measure SentenceEncoder called as it is, without a Flow, beside the loop with the same batches."""
    found: list[Job] = []
    for size in batch_sizes:
        count = encoding.count(docs_per_s, size)
        encoder = SentenceEncoder(str(folder), encoding.context.torch_name, batch_size=size)
        own = partial(encoder.encode, documents(encoding.taken(count)))
        with ExitStack() as stack:
            loop = _loop(encoding, size, count, stack)
            works: dict[str, Work] = {loop_name(size): loop, f"{OWN} without a Flow, batches of {size}": own}
            rounds = compared(works, encoding.clocks.around, effort)
        loop_job, own_job = told(str(encoding.context), count, rounds, loop_name(size))
        found += [loop_job, replace(own_job, moved=counted(own))]
    return found


def told(device: str, count: int, rounds: dict[str, list[float]], loop: str) -> list[Job]:
    """Return what the rounds came to, each way beside the loop."""
    jobs = []
    for way, seconds in rounds.items():
        rate = Spread.of(seconds).per_second(count)
        jobs.append(Job(device, way, count, rate, rate.scaled(1 / REQUEST_SIZE), ratio(rounds[loop], seconds)))
    return jobs


def loop_name(batch_size: int) -> str:
    """Return what the loop is called in results."""
    return f"plain PyTorch, batches of {batch_size}"


def documents(texts: Sequence[str]) -> DocumentArray:
    """Return a Document of each text."""
    return DocumentArray(Document(text=text) for text in texts)


class _Posting:
    """Sends all documents through a Flow; remembers the embeddings that came back."""

    def __init__(self, flow: Flow, docs: DocumentArray) -> None:
        self._flow = flow
        self._docs = docs
        self.embeddings = np.empty(0)

    def __call__(self) -> None:
        results = self._flow.post(on="/encode", inputs=self._docs, request_size=REQUEST_SIZE)
        self.embeddings = np.asarray(results.embeddings)


def _loop(encoding: Encoding, batch_size: int, count: int, stack: ExitStack) -> Work:
    tokens = stack.enter_context(source(IN_LINE, encoding.model.tokenizer_path, encoding.model.max_length))
    return encoding.runs(Setting(batch_size), tokens, count).work


def _check(postings: Sequence[_Posting], encoding: Encoding) -> None:
    for posting in postings:
        timed(posting, encoding.clocks.around)
    cosine = least_cosine(postings[0].embeddings, postings[1].embeddings)
    if cosine < _ALIKE:
        raise ModelError(f"{encoding.context}: the two Executors give other embeddings; the least cosine is {cosine}.")
