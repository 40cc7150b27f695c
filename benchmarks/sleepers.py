"""Executors that take a known time and no CPU: what is left is the scheduling."""

import time
from typing import Any

from dure import DocumentArray, Executor, batching, requests


class Unequal(Executor):
    """Replicas of different speed: the first takes `seconds[0]` a document, the second `seconds[1]`."""

    def __init__(self, seconds: list[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._seconds = seconds

    @requests(on="/work")
    @batching(max_batch_size=8)
    def work(self, docs: DocumentArray, **_kwargs: Any) -> None:
        time.sleep(self._seconds[self.runtime_args.replica] * len(docs))


class Batched(Executor):
    """Takes `seconds` for a call, whatever is in it, as a GPU nearly does."""

    def __init__(self, seconds: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._seconds = seconds

    @requests(on="/work")
    @batching(max_batch_size=8)
    def work(self, docs: DocumentArray, **_kwargs: Any) -> None:
        time.sleep(self._seconds)
