"""A Flow with all public doors, as a program of its own, whose log is kept: what the live tests call.

Says its ports as JSON on standard output, and ends when its standard input does.
"""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from dure import Document, DocumentArray, Executor, Flow, requests
from tests.house.sources import ROOT

LIMIT = 2**20


class Shout(msgspec.Struct, forbid_unknown_fields=True):
    """What `/upper` takes."""

    times: int = 1
    end: str | None = None


class Everything(Executor):
    """Methods of each kind."""

    @requests(on="/upper")
    def upper(self, docs: DocumentArray, parameters: Shout, **kwargs: Any) -> None:
        """Write texts in capitals."""
        docs.texts = [text.upper() * min(max(parameters.times, 0), 3) + (parameters.end or "") for text in docs.texts]

    @requests(on="/encode")
    def encode(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Make embeddings."""
        docs.embeddings = np.ones((len(docs), 2), np.float32)

    @requests(on="/count")
    def count(self, docs: DocumentArray, **kwargs: Any) -> dict[str, Any]:
        """Count documents."""
        return {"documents": len(docs), "none": None}

    @requests(on="/same/again")
    def same(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Give back what came."""

    @requests(on="/parts")
    async def parts(self, docs: DocumentArray, **kwargs: Any) -> Any:
        """Give back what came, one by one."""
        for document in docs[:3]:
            yield Document(document.text)


class Service(NamedTuple):
    """A running one."""

    ports: dict[str, int]
    log: Path

    @property
    def url(self) -> str:
        """Of its HTTP door."""
        return f"http://127.0.0.1:{self.ports['http']}"

    def check(self) -> None:
        """Fail if it does not answer as ever, or has written of a fault of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["http"], timeout=20)
        try:
            connection.request("POST", "/upper", b'{"data": [{"id": "a", "text": "hands"}]}')
            answer = connection.getresponse()
            assert (answer.status, json.loads(answer.read())) == (200, {"data": [{"id": "a", "text": "HANDS"}]})
        finally:
            connection.close()
        text = self.log.read_text(errors="replace")
        for word in ("Traceback", "failed"):
            assert word not in text, text[max(0, text.find(word) - 500) :][:6000]


@contextmanager
def serving(log: Path) -> Iterator[Service]:
    """Start one; end it."""
    command = [sys.executable, "-c", "from tests.fuzz.service import main; main()"]
    with (
        log.open("wb") as out,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, cwd=ROOT) as program,
    ):
        assert program.stdout is not None
        assert program.stdin is not None
        line = program.stdout.readline()
        assert line, log.read_text(errors="replace")
        try:
            yield Service(json.loads(line), log)
        finally:
            program.stdin.close()
            program.wait(timeout=30)


def main() -> None:
    """Serve until standard input ends."""
    flow = Flow(protocol=["http", "websocket", "grpc"], max_request_bytes=LIMIT).add(uses=Everything, name="all")
    with flow:
        sys.stdout.write(json.dumps(flow.ports) + "\n")
        sys.stdout.flush()
        sys.stdin.read()
