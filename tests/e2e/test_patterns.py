"""examples/patterns: what each of them promises, in real processes. test_examples.py runs the programs themselves."""

import http.client
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dure import Document, DocumentArray, Executor, Flow, requests
from dure.errors import ExecutorError

FOLDER = Path(__file__).parents[2] / "examples" / "patterns"
TEXTS = ["Many hands make light work.", "", "두레는 함께 하는 일입니다.", "word " * 400, "The sky is blue."]
NEAR = 1e-5
pytestmark = pytest.mark.timeout(180)  # models are loaded by several processes at a time


@pytest.fixture(scope="module")
def program() -> Iterator[Callable[[str], Any]]:
    """Import a program by its name; workers find it, too."""
    names: set[str] = set()

    def load(name: str) -> Any:
        names.add(name)
        return importlib.import_module(name)

    sys.path.insert(0, str(FOLDER))
    yield load
    sys.path.remove(str(FOLDER))
    for name in names:
        del sys.modules[name]


@pytest.fixture(scope="module")
def encoded() -> Callable[[list[str]], np.ndarray]:
    """What SentenceEncoder says of texts."""
    pytest.importorskip("torch", reason="the extra `models` is not installed")
    from dure.nlp.encoder import SentenceEncoder

    encoder = SentenceEncoder()

    def encode(texts: list[str]) -> np.ndarray:
        docs = DocumentArray(Document(text=text) for text in texts)
        encoder.encode(docs)
        found: np.ndarray = docs.embeddings
        return found

    return encode


# -- web singleton ----------------------------------------------------------------------------------------------------


def test_the_singleton_gives_each_caller_its_own_embeddings(program: Any, encoded: Any) -> None:
    singleton = program("singleton")
    with singleton.singleton() as port:
        with singleton.asker(port) as ask, ThreadPoolExecutor(8) as clients:
            found = list(clients.map(ask, TEXTS * 3))
        np.testing.assert_allclose(found, encoded(TEXTS * 3), atol=NEAR)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for path, body, status, told in (
            ("/encode", json.dumps([]), 200, []),
            ("/encode", json.dumps([1]), 400, "a JSON list of texts is needed: text must be str, not int: 1"),
            ("/encode", "{", 400, "a JSON list of texts is needed"),
            ("/other", "[]", 404, "nothing answers /other; there is /encode"),
        ):
            connection.request("POST", path, body)
            answer = connection.getresponse()
            value = json.loads(answer.read())
            assert (answer.status, value[: len(told)]) == (status, told)
        connection.close()


# -- jobs -------------------------------------------------------------------------------------------------------------


class Gate(Executor):
    """Answers when a file is there; fails at some texts."""

    def __init__(self, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = Path(path)

    @requests(on="/encode")
    def encode(self, docs: DocumentArray, **_: Any) -> None:
        while not self.path.exists():
            time.sleep(0.005)
        if "broken" in docs.texts:
            raise ValueError("cannot read this")
        docs.embeddings = np.array([[len(text), 1] for text in docs.texts], np.float32)


def jobs_before(program: Any, flow: Flow, **settings: Any) -> Flow:
    address = {"address": f"127.0.0.1:{flow.port}"}
    return Flow().add(uses=program("jobs").Jobs, name="jobs", uses_with={**address, **settings})


def ended(jobs: Flow, job: Any) -> Any:
    return jobs.post("/result", job, parameters={"wait_s": 20})[0]


def test_a_job_has_an_id_at_once_and_a_result_later(program: Any, tmp_path: Path) -> None:
    gate = tmp_path / "open"
    flow = Flow().add(uses=Gate, uses_with={"path": str(gate)}, batching={"max_batch_size": 1})
    with flow, jobs_before(program, flow, max_jobs=2) as jobs:
        good = jobs.post("/submit", [Document(text="a"), Document(text="abc")])
        bad = jobs.post("/submit", "broken")
        assert good.tags == bad.tags == [{"state": "running"}]
        assert [doc.tags["state"] for doc in jobs.post("/result", [*good, *bad])] == ["running", "running"]
        with pytest.raises(ExecutorError, match=r"2 jobs are running \(max_jobs\); submit again"):
            jobs.post("/submit", "one too many")

        gate.touch()
        done = ended(jobs, good)
        assert (done.id, done.tags) == (good[0].id, {"state": "done"})
        assert done.chunks.texts == ["a", "abc"]
        assert done.chunks.embeddings.tolist() == [[1, 1], [3, 1]]
        assert ended(jobs, bad).tags["state"] == "failed"
        assert "ValueError: cannot read this" in ended(jobs, bad).tags["error"]
        assert ended(jobs, good).chunks == done.chunks, "a result may be asked for again"

        newer = jobs.post("/submit", "b")
        with pytest.raises(ExecutorError, match=f"LookupError: no job '{good[0].id}'.*newer ones took its place"):
            jobs.post("/result", good)
        assert ended(jobs, newer).chunks.texts == ["b"]


def test_a_job_has_the_very_numbers_of_the_synchronous_call(program: Any, encoded: Any) -> None:
    from dure.nlp.encoder import SentenceEncoder

    docs = DocumentArray(Document(text=text) for text in TEXTS)
    flow = Flow().add(uses=SentenceEncoder, cpu_threads=1)
    with flow, jobs_before(program, flow) as jobs:
        synchronous = flow.post("/encode", docs, request_size=len(docs))
        done = ended(jobs, jobs.post("/submit", docs, request_size=len(docs)))
    assert np.array_equal(done.chunks.embeddings, synchronous.embeddings)
    assert done.chunks.ids == docs.ids
    np.testing.assert_allclose(synchronous.embeddings, encoded(TEXTS), atol=NEAR)


# -- preprocess-prediction --------------------------------------------------------------------------------------------


def test_tokens_from_another_process_make_the_same_embeddings(program: Any, encoded: Any) -> None:
    preprocess = program("preprocess")
    pages = preprocess.pages(6)
    texts = DocumentArray(Document(text=text) for text in TEXTS)
    with preprocess.flow_of() as flow:
        assert set(flow.pids()) == {"gateway", "prepare", "model"}
        found = flow.post("/encode", texts, request_size=2).embeddings
        of_pages = flow.post("/encode", pages, request_size=4).embeddings
        rate, idle = preprocess.saturated(flow, pages)
    np.testing.assert_allclose(found, encoded(TEXTS), atol=NEAR)
    shown = [preprocess.shown(page) for page in pages.texts]
    assert all(text and "<" not in text[:200] for text in shown)
    np.testing.assert_allclose(of_pages, encoded(shown), atol=NEAR)
    assert rate > 0
    assert 0 < idle < 1


# -- microservices ----------------------------------------------------------------------------------------------------


def test_side_by_side_finds_what_one_after_the_other_finds(program: Any, encoded: Any) -> None:
    services = program("services")
    from dure.dataset import corpus

    docs = DocumentArray(Document(text=text) for text in corpus.read(60))
    queries = DocumentArray(Document(text=services.misspelt(text)) for text in docs[::10].texts)
    with services.horizontal() as flow:
        flow.post("/index", docs)
        found = flow.post("/search", queries)
    vectors, asked = encoded(docs.texts), encoded(queries.texts)
    for row, doc in enumerate(found):
        assert doc.tags["meaning"][0] == docs[int((vectors @ asked[row]).argmax())].id
        assert doc.tags["letters"][0] == docs[row * 10].id

    docs.embeddings, queries.embeddings = vectors, asked
    steps = [services.Meaning(), services.Letters(), services.Fuse()]
    for step in steps:
        step.index(docs)
    steps[0].search(queries)
    steps[1].search(queries)
    steps[2].fuse(queries)
    assert [doc.tags for doc in found] == [doc.tags for doc in queries]
    assert [doc.matches.ids for doc in found] == [doc.matches.ids for doc in queries]
    assert all(len(doc.matches) == services.NUM_FOUND for doc in found)
    assert services.vertical().spec.executors[2].needs == ["meaning"]


# -- co-location ------------------------------------------------------------------------------------------------------


def test_a_group_hands_on_the_very_same_memory(program: Any) -> None:
    colocation = program("colocation")
    frames = colocation.frames(8, 48, 64)
    with colocation.chain() as apart, colocation.chain(group="vision") as together:
        assert set(apart.pids()) == {"gateway", "gray", "fingerprint"}
        assert set(together.pids()) == {"gateway", "vision"}
        copied = apart.post("/fingerprint", frames, request_size=4)
        handed = together.post("/fingerprint", frames, request_size=4)
    assert [(tags["same_process"], tags["same_memory"]) for tags in copied.tags] == [(False, False)] * 8
    assert [(tags["same_process"], tags["same_memory"]) for tags in handed.tags] == [(True, True)] * 8
    assert [tags["bits"] for tags in copied.tags] == [tags["bits"] for tags in handed.tags]
    assert handed.tensors is None, "the frames do not travel back"
    assert colocation.pairs_found(handed) == 4
    scenes = [int(tags["bits"], 16) for tags in handed.tags[::2]]
    assert min((scenes[0] ^ other).bit_count() for other in scenes[1:]) > colocation.MAX_BITS, "other scenes differ"
