"""Requests that arrive together, answered by one call of the model: what comes while it works is the next batch.

So nobody waits for company. All texts of a request go to one version. Runs on an event loop; models work in threads,
one batch of each at a time.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from dure.bib.predict_threads import PredictThreads
from dure.bib.residence import Lease, Residence, Resident
from dure.errors import ValidationError
from dure.store.version import Version

MAX_BATCH = 1024
"""Most texts of several requests that go through a model together; a request with more goes alone."""

_TASKS = {"tc": "text classification", "ner": "named entities"}
_Asked: TypeAlias = tuple[Sequence[str], "asyncio.Future[tuple[list[Any], float]]"]


@dataclass(frozen=True)
class Answer:
    """What a model says of the texts of one request.

    Args:
        version: Which one says it.
        labels: Classes or types that the model knows.
        predictions: One for each text.
        load_time_s: Seconds for which the model was waited for; 0 if it was there.
        predict_time_s: Seconds of the call in which these texts were, with those of others.
    """

    version: Version
    labels: tuple[str, ...]
    predictions: list[Any]
    load_time_s: float
    predict_time_s: float


@dataclass(eq=False)
class _Line:
    """Requests that wait for one model."""

    waiting: deque[_Asked] = field(default_factory=deque)
    task: "asyncio.Task[None] | None" = None


class Batcher:
    """Asks the models of a residence.

    Args:
        residence: Whose models.
    """

    def __init__(self, residence: Residence) -> None:
        self._residence = residence
        self._lines: dict[Resident, _Line] = {}
        self._threads = PredictThreads(residence.context)

    def close(self) -> None:
        """Wait for the calls that are under way, and let go of the threads."""
        self._threads.close()

    async def predict(self, reference: str, texts: Sequence[str], task: str) -> Answer:
        """Return what the model that is meant says of texts, all of it by one version.

        Raises:
            ValidationError: The reference is written wrongly, or the model is for another task.
            ModelNotFound: There is no such version.
            ModelError: It cannot be loaded.
        """
        lease = self._residence.take_loaded(reference)
        if lease is None:
            lease = await asyncio.to_thread(self._residence.take, reference)
        try:
            check_task(lease.version, task)
            predictions, seconds = await self._queued(lease, texts) if texts else ([], 0.0)
        finally:
            self._residence.give_back(lease)
        return Answer(lease.version, lease.model.labels, predictions, lease.load_time_s, seconds)

    async def _queued(self, lease: Lease, texts: Sequence[str]) -> tuple[list[Any], float]:
        line = self._lines.setdefault(lease.resident, _Line())
        done: asyncio.Future[tuple[list[Any], float]] = asyncio.get_running_loop().create_future()
        line.waiting.append((texts, done))
        if line.task is None:
            line.task = asyncio.get_running_loop().create_task(self._work(lease, line))
        return await done

    async def _work(self, lease: Lease, line: _Line) -> None:
        while line.waiting:
            batch = _next(line.waiting)
            texts = [text for some, _ in batch for text in some]
            began = time.perf_counter()
            try:
                found = await self._threads.predict(lease.model, texts)
            except Exception as error:  # noqa: BLE001  (whatever the model raises is for those who asked)
                _tell(batch, error)
            else:
                _share(batch, found, time.perf_counter() - began)
        del self._lines[lease.resident]  # no await since the last look: nobody has come meanwhile


def check_task(version: Version, task: str) -> None:
    """Do nothing, or say that a model is for something else.

    Raises:
        ValidationError: It is.
    """
    known = version.card.get("task")
    if known != task:
        raise ValidationError(
            f"model: {version} is for {_TASKS.get(str(known), known)}, not for {_TASKS[task]}; ask another"
        )


def _next(waiting: deque[_Asked]) -> list[_Asked]:
    batch = [waiting.popleft()]
    size = len(batch[0][0])
    while waiting and size + len(waiting[0][0]) <= MAX_BATCH:
        batch.append(waiting.popleft())
        size += len(batch[-1][0])
    return batch


def _share(batch: list[_Asked], found: Sequence[Any], seconds: float) -> None:
    start = 0
    for texts, done in batch:
        if not done.done():  # who went away is not told
            done.set_result((list(found[start : start + len(texts)]), seconds))
        start += len(texts)


def _tell(batch: list[_Asked], error: Exception) -> None:
    for _, done in batch:
        if not done.done():
            done.set_exception(error)
