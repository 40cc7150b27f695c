"""What a replica on a Ray cluster answers, beside one of this machine: documents a second, in turn, in one run.

Needs a cluster: `python benchmarks/ray_replica.py ADDRESS [NODE_RESOURCE]`; a resource of a node has the replica run
there. Prints the medians and their ratio.
"""

import statistics
import sys
import time
from typing import Any

import numpy as np

from dure import Document, DocumentArray, Executor, Flow, requests

ROUNDS = 9
SECONDS = 2.0
ROWS = 32
LENGTH = 384


class Work(Executor):
    """Some milliseconds of numpy for each batch, as an encoder would take; or none."""

    def __init__(self, work: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._weights = np.random.default_rng(0).standard_normal((LENGTH, LENGTH)).astype(np.float32)
        self._depth = 40 if work else 0

    @requests
    def embed(self, docs: DocumentArray, **kwargs: Any) -> None:
        hidden = np.ones((len(docs), LENGTH), np.float32)
        for _ in range(self._depth):
            hidden = np.tanh(hidden @ self._weights)
        docs.embeddings = hidden


def rate(flow: Flow) -> float:
    """Documents a second, with requests always waiting."""
    end, count = time.perf_counter() + SECONDS, 0

    def inputs() -> Any:
        while time.perf_counter() < end:
            yield Document(text="a sentence of a length that is usual for sentences")

    began = time.perf_counter()
    for results in flow.stream("/", inputs, request_size=ROWS):
        count += len(results)
    return count / (time.perf_counter() - began)


def main(address: str, resource: str | None) -> None:
    """Measure, and print."""
    options: dict[str, Any] = {} if resource is None else {"ray_options": {"resources": {resource: 0.1}}}
    print("| method | this machine, docs/s | Ray, docs/s | ratio of medians | ratios of the rounds |")
    print("|---|---|---|---|---|")
    for name, work in (("some numpy", True), ("next to nothing", False)):
        settings: dict[str, Any] = {"uses": Work, "name": "work", "uses_with": {"work": work}, "cpu_threads": 1}
        with Flow().add(**settings) as local, Flow().add(**settings, **options).start("ray", address=address) as remote:
            rate(local), rate(remote)
            here: list[float] = []
            there: list[float] = []
            for number in range(ROUNDS):
                for flow, rates in ((local, here), (remote, there))[:: -1 if number % 2 else 1]:
                    rates.append(rate(flow))
        ratios = sorted(b / a for a, b in zip(here, there, strict=True))
        a, b = statistics.median(here), statistics.median(there)
        spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}, median {statistics.median(ratios):.3f}"
        print(f"| {name} | {a:,.0f} | {b:,.0f} | {b / a:.3f} | {spread} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if sys.argv[2:] else None)
