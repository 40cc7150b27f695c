"""Synchronous and asynchronous: wait for the answer, or get a job's id at once and ask for the result later.

    python jobs.py [number of texts] [rounds]

`Jobs` stands before a Flow that knows nothing of jobs. Without a number it takes 200 texts, or as many as the
environment variable DURE_EXAMPLE_DOCS says.
"""

import asyncio
import os
import statistics
import sys
import time
from typing import Any

import numpy as np

from dure import AsyncClient, Document, DocumentArray, Executor, Flow, requests
from dure.dataset import corpus
from dure.errors import DureError, ExecutorError
from dure.nlp.encoder import SentenceEncoder


class Jobs(Executor):
    """Has another Flow do what is submitted, and keeps the answer for whoever has the job's id.

    `/submit` takes the documents of one job, and answers with one document: its id is the job's. `/result` takes such
    documents, and answers each with the job's state in its tags (`running`, `done`, `failed`), and in its chunks what
    the Flow answered. With `parameters={"wait_s": 5}` it waits up to five seconds for the jobs to end.

    Args:
        address: `host:port` of the Flow that does the work.
        on: The endpoint there.
        max_jobs: Most jobs that are kept. The oldest finished one makes room; where none is finished, no more is taken.
    """

    def __init__(self, address: str, on: str = "/encode", max_jobs: int = 100, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.client = AsyncClient(address)
        self.on = on
        self.max_jobs = max_jobs
        self.jobs: dict[str, asyncio.Task[Document]] = {}

    @requests(on="/submit")
    async def submit(self, docs: DocumentArray, **_: Any) -> Document:
        self.make_room()
        job = Document(tags={"state": "running"})
        self.jobs[job.id] = asyncio.create_task(self.work(job.id, docs))
        return job

    @requests(on="/result")
    async def result(self, docs: DocumentArray, parameters: dict[str, Any], **_: Any) -> DocumentArray:
        tasks = [self.task(doc.id) for doc in docs]
        await asyncio.wait(tasks, timeout=parameters.get("wait_s", 0))
        return DocumentArray(
            task.result() if task.done() else Document(id=doc.id, tags={"state": "running"})
            for doc, task in zip(docs, tasks, strict=True)
        )

    async def work(self, job: str, docs: DocumentArray) -> Document:
        try:
            answer = await self.client.post(self.on, docs, request_size=max(1, len(docs)))
        except DureError as error:
            return Document(id=job, tags={"state": "failed", "error": str(error)})
        return Document(id=job, tags={"state": "done"}, chunks=answer)

    def task(self, job: str) -> asyncio.Task[Document]:
        if job not in self.jobs:
            raise LookupError(f"no job {job!r}: it was never submitted here, or newer ones took its place")
        return self.jobs[job]

    def make_room(self) -> None:
        if len(self.jobs) < self.max_jobs:
            return
        finished = next((job for job, task in self.jobs.items() if task.done()), None)
        if finished is None:
            raise RuntimeError(f"{self.max_jobs} jobs are running (max_jobs); submit again when one has ended")
        del self.jobs[finished]


def main() -> None:
    num_docs = int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("DURE_EXAMPLE_DOCS", "200"))
    num_rounds = int(sys.argv[2] if len(sys.argv) > 2 else os.environ.get("DURE_EXAMPLE_ROUNDS", "5"))
    docs = DocumentArray(Document(text=text) for text in corpus.read(num_docs))
    encoding = Flow().add(uses=SentenceEncoder, name="encoder", cpu_threads=1)
    with encoding, Flow().add(uses=Jobs, name="jobs", uses_with={"address": f"127.0.0.1:{encoding.port}"}) as jobs:
        rounds = [one_round(encoding, jobs, docs) for _ in range(num_rounds)]
        waited, submitted, ended, same = zip(*rounds, strict=True)
        print(f"{num_docs} texts, {num_rounds} rounds; milliseconds, median (least-most) of the rounds")
        print(f"synchronous:  the answer after {spread(waited)}")
        print(f"asynchronous: the job's id after {spread(submitted)}, its result after {spread(ended)}")
        print(f"the same numbers, bit by bit: {all(same)}")
        try:
            jobs.post("/result", Document(id="no-such-job"))
        except ExecutorError as error:
            print(f"an id that nobody has: {error.original_type}: {error.original_message}")


def one_round(encoding: Flow, jobs: Flow, docs: DocumentArray) -> tuple[float, float, float, bool]:
    """Return the milliseconds of the synchronous answer, the job's id and its result, and whether both are equal."""
    size = len(docs)
    began = time.perf_counter()
    synchronous = encoding.post("/encode", docs, request_size=size)
    waited = time.perf_counter() - began
    began = time.perf_counter()
    job = jobs.post("/submit", docs, request_size=size)
    submitted = time.perf_counter() - began
    while job[0].tags["state"] == "running":
        job = jobs.post("/result", job, parameters={"wait_s": 10})
    ended = time.perf_counter() - began
    if job[0].tags["state"] == "failed":
        raise RuntimeError(job[0].tags["error"])
    same = np.array_equal(job[0].chunks.embeddings, synchronous.embeddings)
    return waited * 1e3, submitted * 1e3, ended * 1e3, same


def spread(values: tuple[float, ...]) -> str:
    return f"{statistics.median(values):,.1f} ({min(values):,.1f}-{max(values):,.1f})"


if __name__ == "__main__":
    main()
