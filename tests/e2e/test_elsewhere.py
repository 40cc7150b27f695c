"""Executors whose work a Flow elsewhere does: `uses='dure://host:port'`."""

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from threading import Thread, Timer
from typing import Any

import pytest

from dure import Client, Document, DocumentArray, Executor, Flow, requests
from dure.errors import ConnectionLost, ExecutorError, ReplicaUnavailable, SpecError, Unauthenticated
from tests.e2e.distant import distant
from tests.e2e.test_tls import certificates

__all__ = ["certificates"]


class Worker(Executor):
    """Does the work, elsewhere."""

    def __init__(self, mark: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mark = mark

    @requests
    def whatever(self, docs: DocumentArray, endpoint: str, parameters: dict[str, Any], **kwargs: Any) -> None:
        for doc in docs:
            doc.tags = {"mark": self.mark, "endpoint": endpoint, **parameters}

    @requests(on="/count")
    def count(self, docs: DocumentArray, **kwargs: Any) -> dict[str, int]:
        docs.texts = [text.upper() for text in docs.texts]
        return {"count": len(docs)}

    @requests(on="/fail")
    def fail(self, docs: DocumentArray, **kwargs: Any) -> None:
        raise KeyError("what was asked for")

    @requests(on="/letters")
    async def letters(self, docs: DocumentArray, **kwargs: Any) -> AsyncIterator[Document]:
        """Every letter is a part."""
        for letter in docs[0].text:
            yield Document(text=letter)

    @requests(on="/slow")
    def slow(self, docs: DocumentArray, parameters: dict[str, Any], **kwargs: Any) -> None:
        with Path(parameters["file"]).open("a") as file:
            file.writelines(f"{doc.text}\n" for doc in docs)
        time.sleep(parameters["pause_s"])


@pytest.fixture(scope="module")
def near() -> Iterator[Flow]:
    with (
        Flow().add(uses=Worker, uses_with={"mark": "a"}) as first,
        Flow().add(uses=Worker, uses_with={"mark": "b"}) as second,
        Flow().add(uses=f"dure://127.0.0.1:{first.port},127.0.0.1:{second.port}", name="far") as flow,
    ):
        yield flow


def test_it_answers_as_the_other_does(near: Flow) -> None:
    answer = near.post("/any", [Document(text="x", id="1")], parameters={"deep": {"er": [1, 2.5, None]}})
    assert answer.ids == ["1"]
    assert answer[0].tags["endpoint"] == "/any"
    assert answer[0].tags["deep"] == {"er": [1, 2.5, None]}


def test_a_dict_goes_with_its_documents(near: Flow) -> None:
    answer = near.post("/count", ["a", "b"])
    assert answer.parameters == {"__results__": {"far": {"count": 2}}}
    assert answer.texts == ["A", "B"]


def test_parts_come_as_they_are_made(near: Flow) -> None:
    with Client(port=near.port) as client:
        parts = [part.texts for part in client.stream("/letters", ["두레 many"])]
    assert parts == [[letter] for letter in "두레 many"]
    assert near.post("/letters", ["abc"]).texts == ["a", "b", "c"]


def test_an_error_arrives_as_it_was(near: Flow) -> None:
    with pytest.raises(ExecutorError, match="what was asked for") as caught:
        near.post("/fail", ["x"])
    assert caught.value.original_type == "KeyError"
    assert caught.value.executor == "executor0"
    assert "in fail" in caught.value.remote_traceback


def test_all_addresses_take_part(near: Flow) -> None:
    marks = [doc.tags["mark"] for doc in near.post("/any", [str(i) for i in range(400)], request_size=1)]
    assert min(marks.count("a"), marks.count("b")) > 50


def test_one_that_ends_is_left_out_and_none_at_all_is_told() -> None:
    first, second = Flow().add(uses=Worker).start(), Flow().add(uses=Worker).start()
    uses = f"dure://127.0.0.1:{first.port},127.0.0.1:{second.port}"
    with Flow().add(uses=uses) as flow:
        failures: list[BaseException] = []
        done: list[int] = []

        def ask() -> None:
            for _ in range(150):
                try:
                    done.append(len(flow.post("/any", ["x"])))
                except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                    failures.append(error)

        threads = [Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        first.close()
        for thread in threads:
            thread.join()
        assert failures == []
        assert sum(done) == 600
        port = second.port
        second.close()
        with pytest.raises(ReplicaUnavailable, match="nothing was sent"):
            flow.post("/any", ["x"])
        with Flow(port=port).add(uses=Worker):
            assert len(flow.post("/any", ["x"])) == 1  # it came back


def test_it_waits_for_who_is_not_there_yet(tmp_path: Path) -> None:
    with Flow() as placeholder:
        port = placeholder.port
    script = tmp_path / "later.py"
    script.write_text(
        "import time, sys\ntime.sleep(1)\nfrom dure import Flow\nfrom tests.e2e.test_elsewhere import Worker\n"
        f"with Flow(port={port}).add(uses=Worker) as flow:\n    sys.stdin.read()\n"
    )
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": f"{root}:{os.environ.get('PYTHONPATH', '')}"}
    late = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, cwd=root, env=env)
    try:
        with Flow().add(uses=f"dure://127.0.0.1:{port}") as flow:
            assert len(flow.post("/any", ["x"])) == 1
    finally:
        late.communicate(timeout=30)


def test_keys_and_tls(certificates: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    command = [sys.executable, "-m", "dure.cli.main", "keys", "add", "--file", str(keys), "--name", "gateway"]
    key = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()[-1]
    own = {"tls_cert": str(certificates / "server.pem"), "tls_key": str(certificates / "server.key")}
    ca = str(certificates / "ca.pem")
    with Flow(keys_file=str(keys), **own).add(uses=Worker) as far:
        uses = f"dure://127.0.0.1:{far.port}"
        with Flow().add(uses=uses, uses_with={"key": key, "tls_ca": ca}) as flow:
            assert len(flow.post("/any", ["x"])) == 1
            assert len(list(flow.post("/letters", ["xy"]))) == 2
        with pytest.raises(Unauthenticated), Flow().add(uses=uses, uses_with={"tls_ca": ca}):
            pass


@pytest.mark.parametrize("address", ["", "host", "host:", ":1", "host:0", "host:70000", "host:1/x", "a:1,b"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(SpecError, match="is no address"):
        Flow().add(uses=f"dure://{address}")


@pytest.mark.parametrize(
    "settings", [{"device": "cpu"}, {"gpus": "all"}, {"concurrency": 2}, {"uses_requests": {"/a": "b"}}]
)
def test_what_means_nothing_there(settings: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=next(iter(settings))):
        Flow().add(uses="dure://host:1", **settings)


@pytest.mark.slow
def test_a_cut_network(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    script = tmp_path / "far.py"
    script.write_text(
        "import sys, signal\n"
        f"sys.path.insert(0, {str(root)!r})\n"
        "from dure import Flow\nfrom tests.e2e.test_elsewhere import Worker\n"
        "with Flow(host=sys.argv[1], port=5000, insecure=True).add(uses=Worker) as flow:\n"
        "    print('ready', flush=True)\n    flow.block()\n"
    )
    begun = tmp_path / "begun"
    slow = {"file": str(begun), "pause_s": 3.0}
    quick = {"file": str(begun), "pause_s": 0.0}
    with (
        distant(77) as machine,
        machine.running(script, machine.address),
        Flow().add(uses=f"dure://{machine.address}:5000") as flow,
    ):
        assert len(flow.post("/slow", ["before"], parameters=quick)) == 1
        Timer(1, machine.pull).start()
        began = time.monotonic()
        with pytest.raises(ConnectionLost):
            flow.post("/slow", ["in the middle"], parameters=slow)
        assert time.monotonic() - began < 25
        with pytest.raises(ReplicaUnavailable):
            flow.post("/slow", ["while it is cut"], parameters=quick)
        machine.plug()
        deadline = time.monotonic() + 20
        while True:
            try:
                flow.post("/slow", ["after"], parameters=quick)
                break
            except ReplicaUnavailable:
                assert time.monotonic() < deadline
    assert begun.read_text().splitlines() == ["before", "in the middle", "after"]  # each once, and what failed never
