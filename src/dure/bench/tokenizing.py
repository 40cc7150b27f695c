"""Texts to tokens, batch by batch: between the model's calls, in a thread beside them, or in other processes.

Runs in the child processes too, and imports nothing that they do not need. Knows the tokenizers library; does not know
what becomes of the tokens.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from dure.deps import require

IN_LINE, IN_THREAD, IN_PROCESSES = "in line", "in a thread", "in processes"
_AHEAD = 4  # batches tokenized before they are asked for, and per process
_MAX_PROCESSES = 4


class Tokens(NamedTuple):
    """A batch: `ids` and `mask`, both `(texts, longest) int64`; the mask is 0 where there is only padding."""

    ids: np.ndarray
    mask: np.ndarray


Batches = Sequence[Sequence[str]]
Source = Callable[[Batches], Iterator[Tokens]]
"""Turns batches of texts into batches of tokens, in their order."""


def tokenize(path: str, max_length: int, texts: Sequence[str]) -> Tokens:
    """Return the tokens of a batch, padded to its longest text.

    Args:
        path: The model's tokenizer.json.
        max_length: Most tokens of a text.
        texts: At least one.

    Raises:
        MissingDependency: The extra `models` is not installed.
    """
    found = _tokenizer(path, max_length).encode_batch(list(texts))
    ids, mask = ([getattr(one, name) for one in found] for name in ("ids", "attention_mask"))
    return Tokens(np.array(ids, np.int64), np.array(mask, np.int64))


@contextmanager
def source(where: str, path: str, max_length: int) -> Iterator[Source]:
    """Make ready to tokenize; processes are started before anything is timed.

    Args:
        where: `IN_LINE`, `IN_THREAD` or `IN_PROCESSES`.
        path: The model's tokenizer.json.
        max_length: Most tokens of a text.
    """
    work = partial(tokenize, path, max_length)
    if where == IN_LINE:
        yield lambda batches: map(work, batches)
    elif where == IN_THREAD:
        with ThreadPoolExecutor(1, "tokenizer") as pool:
            yield partial(_ahead, pool, work, _AHEAD)
    else:
        count = min(_MAX_PROCESSES, os.cpu_count() or 1)
        spawn = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        with ProcessPoolExecutor(count, spawn, _one_thread_each) as pool:
            for ready in [pool.submit(work, ["Are you there?"]) for _ in range(4 * count)]:
                ready.result()
            yield partial(_ahead, pool, work, _AHEAD * count)


def _ahead(pool: Executor, work: Callable[[Sequence[str]], Tokens], depth: int, batches: Batches) -> Iterator[Tokens]:
    waiting: deque[Future[Tokens]] = deque()
    for batch in batches:
        waiting.append(pool.submit(work, batch))
        if len(waiting) > depth:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _one_thread_each() -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # there are as many processes as are wanted at work


@lru_cache(maxsize=4)
def _tokenizer(path: str, max_length: int) -> Any:
    tokenizer = require("tokenizers", "models").Tokenizer.from_file(path)
    tokenizer.enable_truncation(max_length)
    tokenizer.enable_padding()
    return tokenizer
