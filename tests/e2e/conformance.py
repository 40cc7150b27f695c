"""What a Flow with two replicas of a test's worker does, wherever they run: in processes, in containers, on Ray."""

import pytest

from dure import Document, Flow
from dure.errors import ExecutorError


def answers_as_a_local_worker_does(flow: Flow) -> None:
    """Many documents, a large one, an error, parts, figures and process ids; the worker's `prefix` is `> `."""
    many = [Document(text=str(i)) for i in range(500)]
    back = flow.post("/echo", many, parameters={"times": 3}, request_size=7)
    assert back.texts == [f"> {i}" for i in range(500)]
    assert {doc.tags["times"] for doc in back} == {3}
    big = Document(text="x" * 5_000_000)
    assert flow.post("/echo", big)[0].text == "> " + big.text
    with pytest.raises(ExecutorError, match="no such word") as caught:
        flow.post("/raise", "x")
    assert caught.value.original_type.endswith("KeyError")
    parts = list(flow.stream("/stream", [Document(text="a"), Document(text="b")]))
    assert [part.texts for part in parts if part.texts]
    metrics = flow.metrics()
    assert sorted(metrics) == ["worker/0", "worker/1"]
    assert sum(one.num_documents for one in metrics.values()) >= 501
    assert all(pid > 0 for pid in flow.pids().values())
