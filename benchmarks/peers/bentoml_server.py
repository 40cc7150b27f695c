"""BentoML: one worker, its own JSON. Its dispatcher merges the lists of several requests.

Its `max_latency_ms` is a limit above which requests are refused, not how long one waits for others, and stays as it is.
"""

import sys
from typing import Any

import bentoml  # type: ignore[import-not-found]
from bentoml_cli.cli import cli  # type: ignore[import-not-found]

import lifeline
from peers.job import Job

JOB = Job.asked()
BATCHING = {"batchable": True, "max_batch_size": JOB.max_batch_size} if JOB.batching else {}


@bentoml.service(workers=1, traffic={"timeout": 120})
class Encoder:
    def __init__(self) -> None:
        self._encode = JOB.encoder()

    @bentoml.api(**BATCHING)  # type: ignore[untyped-decorator]
    def encode(self, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rows = self._encode([document["text"] for document in data])
        return [{"embedding": row.tolist()} for row in rows]


if __name__ == "__main__":
    sys.argv[1:] = ["serve", "peers.bentoml_server:Encoder", "--host", "127.0.0.1", "--port", str(JOB.port)]
    lifeline.terminate_when_alone()
    cli()
