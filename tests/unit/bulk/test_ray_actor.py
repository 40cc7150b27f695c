"""The worker of a map on Ray, without Ray: it knows nothing but the rows it is given and yields."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import msgspec
import pytest

from dure import Document, DocumentArray, Executor, requests
from dure.bulk.manifest import manifest_of
from dure.bulk.part import MAX_ATTEMPTS, Parts
from dure.bulk.ray_actor import PartWorker, Told
from dure.bulk.source import Source, scan
from dure.errors import from_wire
from dure.spec import ExecutorSpec
from dure.worker.assignment import Hosted
from tests.unit.bulk.rows import output, parquet, texts


class Kinds(Executor):
    """A method of each kind."""

    def __init__(self, fails: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if fails:
            __import__(fails)

    @requests(on="/plain")
    def plain(self, docs: DocumentArray, parameters: dict[str, Any], **kwargs: Any) -> None:
        docs.texts = [text.upper() + parameters["end"] for text in docs.texts]

    @requests(on="/coroutine")
    async def coroutine(self, docs: DocumentArray, parameters: dict[str, Any], **kwargs: Any) -> None:
        self.plain(docs, parameters)

    @requests(on="/generator")
    def generator(self, docs: DocumentArray, parameters: dict[str, Any], **kwargs: Any) -> Iterator[Document]:
        self.plain(docs, parameters)
        yield from docs

    @requests(on="/both")
    async def both(self, docs: DocumentArray, parameters: dict[str, Any], **kwargs: Any) -> AsyncIterator[Document]:
        self.plain(docs, parameters)
        for doc in docs:
            yield doc

    @requests(on="/less")
    def less(self, docs: DocumentArray, **kwargs: Any) -> DocumentArray:
        return docs[1:]

    @requests(on="/fail")
    def fail(self, docs: DocumentArray, **kwargs: Any) -> None:
        raise KeyError("text 4" if "text 4" in docs.texts else "another")


def told(source: Source, folder: Path, **changes: Any) -> bytes:
    uses_with = changes.pop("uses_with", {})
    hosted = Hosted(
        name="kinds",
        uses=cloudpickle.dumps(changes.pop("uses", Kinds)),
        uses_with=cloudpickle.dumps(uses_with),
        uses_requests={},
        py_modules=[],
        batching=None,
    )
    fields: dict[str, Any] = {
        "sys_path": [],
        "device": None,
        "cache_size": 0,
        "text": "text",
        "on": "/plain",
        "request_size": 2,
    }
    words = Told(
        **{**fields, **changes},
        hosted=hosted,
        source=source,
        folder=str(folder),
        parts=Parts(10, 5),
        parameters={"end": "!"},
    )
    return msgspec.msgpack.encode(words)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    source = scan(parquet(tmp_path / "in.parquet", texts(0, 10)))
    asked = {"on": "/", "parameters": {}, "text": "text", "part_rows": 5, "num_parts": 2}
    output(tmp_path / "out")
    manifest_of(source, ExecutorSpec(uses=Kinds), asked).write(tmp_path / "out")
    return source


@contextlib.contextmanager
def begun(words: bytes) -> Iterator[PartWorker]:
    worker = PartWorker(words)
    yield worker
    worker.close()


def row(worker: PartWorker, number: int) -> dict[str, Any]:
    return {name: values[0] for name, values in worker({"item": [number]}).items()}


def error(worker: PartWorker, number: int = 0) -> Exception:
    return from_wire(msgspec.json.decode(row(worker, number)["error"]))


@pytest.mark.parametrize("on", ["/plain", "/coroutine", "/generator", "/both"])
def test_a_part_is_read_answered_and_written(on: str, source: Source, tmp_path: Path) -> None:
    with begun(told(source, tmp_path / "out", on=on)) as worker:
        assert [(row(worker, number)["part"], row(worker, number)["error"]) for number in (1, 0)] == [(1, ""), (0, "")]

    for number in (0, 1):
        documents = DocumentArray.from_parquet(tmp_path / "out" / f"part-0000{number}.parquet")
        assert documents.texts == [f"{text.upper()}!" for text in texts(5 * number, 5 * number + 5)]
        assert documents.ids == [str(i) for i in range(5 * number, 5 * number + 5)]


def test_what_a_method_raises_is_told_with_part_rows_and_node(source: Source, tmp_path: Path) -> None:
    with begun(told(source, tmp_path / "out", on="/fail", request_size=5)) as worker:
        failure = error(worker)

    assert "part 0, rows 0 to 4, on node " in str(failure)
    assert "KeyError: 'text 4'" in str(failure)
    assert vars(failure)["original_type"] == "KeyError"
    assert not list((tmp_path / "out").glob("part-*"))


def test_another_number_of_rows_is_told(source: Source, tmp_path: Path) -> None:
    with begun(told(source, tmp_path / "out", on="/less")) as worker:
        failure = error(worker, 1)

    assert "part 1, rows 5 to 6, on node " in str(failure)
    assert "returned 1 rows for 2" in str(failure)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"uses_with": {"fails": "no_such_module"}}, "needs the module 'no_such_module'"),
        ({"uses": "no_such.Executor"}, "there is no module 'no_such'"),
        ({"uses_with": {"size": 3}}, "takes no argument 'size'|size"),
        ({"on": "/plane"}, "Did you mean '/plain'"),
    ],
)
def test_an_executor_that_cannot_be_made_is_told_with_the_first_part(
    changes: dict[str, Any], message: str, source: Source, tmp_path: Path
) -> None:
    with begun(told(source, tmp_path / "out", **changes)) as worker:
        failure = error(worker)

    assert str(failure).startswith("node ")
    assert any(one in str(failure) for one in message.split("|"))


def test_storage_that_is_not_shared_is_told(source: Source, tmp_path: Path) -> None:
    with begun(told(source, tmp_path / "elsewhere")) as worker:
        assert "all nodes must share" in str(error(worker))


def test_a_part_that_kills_its_workers_is_begun_so_often_and_no_more(source: Source, tmp_path: Path) -> None:
    folder = output(tmp_path / "out")
    for _ in range(MAX_ATTEMPTS):
        folder.begin(Parts(10, 5).part(1))
    with begun(told(source, tmp_path / "out")) as worker:
        assert "3 workers died" in str(error(worker, 1))
        assert row(worker, 0)["error"] == ""
