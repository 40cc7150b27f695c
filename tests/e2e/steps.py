"""Executors for tests of Flows that run. Imports little, since every worker of a test imports it."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dure import Document, DocumentArray, Executor, batching, requests
from dure.executor.stages import stage

TIMEOUT_S = 20.0
_handed_on: list[DocumentArray] = []


class Versioned(Executor):
    """Says which version of it answers; cannot be made of a version below 0, and dies of version 0."""

    def __init__(self, version: int = 1, pause_s: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if version == 0:
            os._exit(7)
        if version < 0:
            raise ValueError(f"no version {version}")
        self.version = version
        self.pause_s = pause_s
        self.warm = 0

    def warm_up(self) -> None:
        time.sleep(0.2)
        self.warm += 1

    @requests(on="/version")
    def tell(self, docs: DocumentArray, **kwargs: Any) -> None:
        time.sleep(self.pause_s)
        for doc in docs:
            doc.tags = {"version": self.version, "pid": os.getpid(), "warm": self.warm}

    @requests(on="/async")
    async def tell_async(self, docs: DocumentArray, **kwargs: Any) -> None:
        await asyncio.sleep(self.pause_s)
        self.tell(docs)


class Meeting(Executor):
    """Methods that return only if two of their calls run at the same time."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.both = threading.Barrier(2)
        self.num_calls = 0

    @requests(on="/meet")
    @batching(max_batch_size=1)
    def meet(self, docs: DocumentArray, **kwargs: Any) -> None:
        self.num_calls += 1
        self.both.wait(TIMEOUT_S)
        docs[0].tags = {"pid": os.getpid(), "thread": threading.get_ident(), "self": id(self), "seen": self.num_calls}

    @requests(on="/where")
    def where(self, docs: DocumentArray, **kwargs: Any) -> None:
        docs[0].tags = {"main": threading.current_thread() is threading.main_thread()}


class Hanging(Executor):
    """Notes what it begins with; a document "hang" takes for ever, once."""

    def __init__(self, folder: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._begun = Path(folder) / "begun"

    @requests(on="/work")
    @batching(max_batch_size=1)
    def work(self, docs: DocumentArray, **kwargs: Any) -> None:
        with self._begun.open("a", encoding="utf-8") as file:
            file.write(f"{docs[0].text}\n")
        if docs[0].text == "hang":
            time.sleep(600)
        time.sleep(0.01)
        docs[0].tags["pid"] = os.getpid()


class Steady(Executor):
    """Answers in parts, for longer than one part takes."""

    @requests(on="/parts")
    def parts(self, docs: DocumentArray, **kwargs: Any) -> Iterator[Document]:
        for i in range(8):
            time.sleep(0.3)
            yield Document(text=str(i))


class Cold(Executor):
    """Cannot be warmed up."""

    def warm_up(self) -> None:
        raise ValueError("too cold")


class Hands(Executor):
    """The first of a group: notes the very object that it hands on."""

    @requests(on="/pass")
    def hand(self, docs: DocumentArray, **kwargs: Any) -> None:
        _handed_on[:] = [docs]
        docs[0].tags["first"] = os.getpid()

    @requests(on="/fail")
    def fail(self, docs: DocumentArray, **kwargs: Any) -> None:
        if docs[0].text == "first":
            raise ValueError("of the first")


class Takes(Executor):
    """The second: says whether it got that object."""

    def __init__(self, version: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.version = version
        if version < 0:
            raise ValueError(f"no version {version}")

    @requests(on="/pass")
    def take(self, docs: DocumentArray, **kwargs: Any) -> None:
        same = bool(_handed_on) and docs is _handed_on[0]
        docs[0].tags |= {"second": os.getpid(), "same": same, "version": self.version}

    @requests(on="/fail")
    def fail(self, docs: DocumentArray, **kwargs: Any) -> None:
        raise ValueError("of the second")


class Counts(Executor):
    """Answers with how often it was called and for how many documents."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_calls = self.num_documents = 0

    @requests(on=["/count", "/other"])
    def count(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        self.num_calls += 1
        self.num_documents += len(docs)
        time.sleep(0.1)
        for doc in docs:
            doc.tags = {"calls": self.num_calls, "documents": self.num_documents, **parameters}


class Slow(Executor):
    """20 ms for whatever comes, some of it spent on tokenizing."""

    @requests(on="/work")
    @batching(max_batch_size=4)
    def work(self, docs: DocumentArray, **kwargs: Any) -> None:
        with stage("tokenize"):
            time.sleep(0.005)
        with stage("forward"):
            time.sleep(0.015)
        if "bad" in docs.texts:
            raise ValueError("bad")

    @requests(on="/alone")
    @batching(max_batch_size=1)
    def alone(self, docs: DocumentArray, **kwargs: Any) -> None:
        time.sleep(float(docs[0].text))

    @requests(on="/tokens")
    @batching(max_batch_size=64, cost="tokens", max_queue_delay_s=0.3)
    def tokens(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Take what comes."""


class Surroundings(Executor):
    """Says what its process was told."""

    @requests(on="/threads")
    def threads(self, docs: DocumentArray, **kwargs: Any) -> None:
        docs[0].tags = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
