"""Rows: the same Executor in a container and on this machine: rate, start, and how soon a killed one is replaced.

Needs an engine, and the image that `dure hub build hub/SentenceEncoder --model all-MiniLM-L6-v2` makes.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from dure import Document, DocumentArray, Flow
from dure.dataset import corpus
from dure.deps import require
from dure.errors import MissingDependency, WorkerCrashed
from noop import documents
from report import Row, Skipped, raw
from series import interleaved
from sizes import Sizes

IMAGE = os.environ.get("BENCH_IMAGE", "sentence-encoder:cpu")
NOOP = "dure-bench/noop"
FOLDER = Path(__file__).resolve().parents[1]


def measure(sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Row]:
    with contextlib.ExitStack() as stack:
        docker = stack.enter_context(_engine())
        noop = _noop_bundle(docker, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        yield from _rates(sizes, tell, noop)
        yield from _starts(sizes, tell, noop)
        yield from _replaced(docker, sizes, tell)


@contextlib.contextmanager
def _engine() -> Iterator[Any]:
    try:
        docker = require("docker", "docker")
    except MissingDependency as error:
        raise Skipped(str(error)) from error
    try:
        client = docker.from_env()
    except docker.errors.DockerException as error:
        raise Skipped("no Docker Engine answers") from error
    with contextlib.closing(client):
        try:
            client.images.get(IMAGE)
        except docker.errors.ImageNotFound as error:
            raise Skipped(f"no image {IMAGE}: dure hub build hub/SentenceEncoder --model all-MiniLM-L6-v2") from error
        yield client


def _noop_bundle(docker: Any, folder: Path) -> Path:
    """Make a bundle of the no-op, and its image: that of the encoder with another bundle in it."""
    for name in ("noop.py", "vector.py"):
        (folder / name).write_bytes((FOLDER / name).read_bytes())
    (folder / "config.yml").write_text("jtype: Noop\npy_modules: [vector.py, noop.py]\n", encoding="utf-8")
    (folder / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY . /bundle/\n", encoding="utf-8")
    folder.chmod(0o755)
    docker.images.build(path=str(folder), tag=NOOP, rm=True)
    return folder


def _rates(sizes: Sizes, tell: Callable[[str], None], noop: Path) -> Iterator[Row]:
    texts = corpus.read(sizes.mixed_documents)
    kinds = {
        "SentenceEncoder, 32 to a request": (
            f"docker://{IMAGE}",
            "dure.nlp.encoder.SentenceEncoder",
            partial(_post, DocumentArray(Document(text=text) for text in texts)),
        ),
        "no-op, 100 to a request": (
            f"docker://{NOOP}",
            str(noop),
            partial(_stream, sizes.noop_documents, 100),
        ),
    }
    for what, (image, here, work) in kinds.items():
        with Flow().add(uses=image) as inside, Flow().add(uses=here) as outside:
            works = {"container": partial(work, inside), "local": partial(work, outside)}
            for one in works.values():
                one()
            found = interleaved(sizes.rounds, works, tell)
        ratio = found["container.docs_per_s"].over(found["local.docs_per_s"])
        yield Row(
            f"in a container against a local worker: {what}",
            f"{ratio.text(2)} x; {found['container.docs_per_s'].text()} docs/s against"
            f" {found['local.docs_per_s'].text()}",
            ">= 0.95 x",
            ratio.median >= 0.95,
            raw(found),
        )


def _post(docs: DocumentArray, flow: Flow) -> dict[str, float]:
    begin = time.perf_counter()
    back = flow.post("/encode", docs, request_size=32)
    assert len(back) == len(docs)
    return {"docs_per_s": len(docs) / (time.perf_counter() - begin)}


def _stream(count: int, size: int, flow: Flow) -> dict[str, float]:
    begin = time.perf_counter()
    assert sum(len(part) for part in flow.stream("/encode", documents(count), request_size=size)) == count
    return {"docs_per_s": count / (time.perf_counter() - begin)}


def _starts(sizes: Sizes, tell: Callable[[str], None], noop: Path) -> Iterator[Row]:
    def start(uses: str) -> dict[str, float]:
        begin = time.perf_counter()
        with Flow().add(uses=uses) as flow:
            flow.post("/encode", "x")
            return {"s": time.perf_counter() - begin}

    works = {
        "no-op in a container": partial(start, f"docker://{NOOP}"),
        "no-op": partial(start, str(noop)),
        "encoder in a container": partial(start, f"docker://{IMAGE}"),
        "encoder": partial(start, "dure.nlp.encoder.SentenceEncoder"),
    }
    found = interleaved(sizes.starts, works, tell)
    for name in ("no-op", "encoder"):
        inside, outside = found[f"{name} in a container.s"], found[f"{name}.s"]
        later = inside.median - outside.median
        yield Row(
            f"start of a built image, {name}: from `with f:` to the first answer",
            f"{inside.text(2)} s; a local worker {outside.text(2)} s",
            "<= the local worker's + 1 s",
            later <= 1.0,
            raw({"container": inside, "local": outside}),
        )


def _replaced(docker: Any, sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Row]:
    """Kill the container in the middle of a stream; what is not begun waits, and nothing is answered twice."""

    def kill() -> dict[str, float]:
        with Flow().add(uses=f"docker://{NOOP}", name="killed", batching={"max_batch_size": 1}) as flow:
            answered: list[str] = []
            lost: list[str] = []
            killed_at = back_s = 0.0
            for part in flow.stream("/encode", documents(3000), request_size=1, continue_on_error=True):
                answered += part.texts
                lost += [text for one in part.failures for text in one.documents.texts]
                assert all(isinstance(one.error, WorkerCrashed) for one in part.failures)
                if len(answered) >= 500 and not killed_at:
                    docker.containers.list(filters={"label": "dure.executor=killed"})[0].kill()
                    killed_at = time.perf_counter()
                    before = len(answered)
                elif killed_at and not back_s and len(answered) > before + 200:  # more than was on its way back
                    back_s = time.perf_counter() - killed_at
            assert len(answered) == len(set(answered)), "one was answered twice"
            assert len(answered) + len(lost) == 3000, "one was lost"
            return {"back_s": back_s, "failed": len(lost)}

    found = interleaved(sizes.rounds, {"kill": kill}, tell)
    back, failed = found["kill.back_s"], found["kill.failed"]
    yield Row(
        "`docker kill` in the middle of 3,000 requests: until answers come again",
        f"{back.text(2)} s; {failed.text()} requests that had been begun failed, none was lost or answered twice",
        "<= 5 s",
        max(back.values) <= 5,
        raw(found),
    )
