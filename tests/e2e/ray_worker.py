"""What tests of Flows on Ray share: the cluster, Flows that start there unless they say otherwise, an Executor."""

import functools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dure import DocumentArray, Executor, Flow, requests
from dure.backends.ray_cluster import Cluster
from dure.executor.endpoints import batching
from tests.e2e.ray_nodes import Nodes, nodes


class Worker(Executor):
    """Works, fails, and tells where it is."""

    def __init__(self, prefix: str = "", folder: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._prefix, self._folder = prefix, folder

    @requests(on="/echo")
    def echo(self, docs: DocumentArray, parameters: dict[str, Any], **kwargs: Any) -> None:
        for doc in docs:
            doc.text = self._prefix + doc.text
            doc.tags["times"] = parameters.get("times", 1)

    @requests(on="/raise")
    def fail(self, docs: DocumentArray, **kwargs: Any) -> None:
        raise KeyError("no such word")

    @requests(on="/stream")
    def stream(self, docs: DocumentArray, **kwargs: Any) -> Iterator[DocumentArray]:
        for _ in docs:
            yield docs[:1]

    @requests(on="/where")
    @batching(max_batch_size=1)
    def where(self, docs: DocumentArray, **kwargs: Any) -> None:
        time.sleep(0.01)
        docs[0].tags = {
            "pid": os.getpid(),
            "token": "DURE_TOKEN" in os.environ,
            **{name: os.environ.get(name, "unset") for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")},
        }

    @requests(on="/work")
    @batching(max_batch_size=1)
    def work(self, docs: DocumentArray, **kwargs: Any) -> None:
        with (Path(self._folder) / "begun").open("a", encoding="utf-8") as file:
            file.write(f"{docs[0].text}\n")
        time.sleep(0.005)
        docs[0].tags["pid"] = os.getpid()


@pytest.fixture(scope="module", name="cluster")
def started_cluster() -> Iterator[Nodes]:
    with nodes() as running:
        yield running


@pytest.fixture(autouse=True)
def over_ray(cluster: Nodes, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have Flows that do not say where they start on Ray; and see that nothing of them stays there."""
    start = Flow.start

    @functools.wraps(start)
    def on_ray(self: Flow, backend: str = "ray", **options: Any) -> Flow:
        return start(self, backend, **({"address": cluster.address} if backend == "ray" else {}) | options)

    monkeypatch.setattr(Flow, "start", on_ray)
    yield
    assert nothing_left(cluster, 10)


def nothing_left(cluster: Nodes, limit_s: float) -> bool:
    """Whether within so many seconds no actor and no placement group is there."""
    import ray

    here = Cluster.connect(cluster.address)
    deadline = time.monotonic() + limit_s
    try:
        state: Any = ray._private.state
        while True:
            actors = {actor["State"] for actor in state.actors().values()}
            groups = {group["state"] for group in ray.util.placement_group_table().values()}
            if actors <= {"DEAD"} and groups <= {"REMOVED"}:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
    finally:
        here.close()


def worker(**settings: Any) -> Flow:
    return Flow().add(**{"uses": Worker, "name": "worker", "timeout_ready_s": 60, **settings})
