"""Six frameworks answer one endpoint in one Flow: each by itself, then all of them by a vote.

    python main.py [number of images]

Without a number it takes 10,000, or as many as the environment variable DURE_EXAMPLE_DOCS says. Frameworks that are
not installed are left out, and named.
"""

import importlib.util
import os
import sys
import time
from pathlib import Path

import numpy as np

from digits import documents, unseen
from dure import Flow

FOLDER = Path(__file__).parent
LIBRARIES = {
    "pytorch": "torch",
    "onnxruntime": "onnxruntime",
    "tensorflow": "tensorflow",
    "jax": "jax",
    "sklearn": "sklearn",
    "numpy": "numpy",
}
"""Executor -> the library it needs."""


def main() -> None:
    num_docs = int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("DURE_EXAMPLE_DOCS", "10000"))
    names = [name for name, library in LIBRARIES.items() if importlib.util.find_spec(library)]
    for name in LIBRARIES.keys() - set(names):
        print(f"{name} is left out: {LIBRARIES[name]} is not installed (pip install 'dure[frameworks]')")
    began = time.perf_counter()
    with flow_of(names) as flow:
        print(f"{len(names)} frameworks imported, trained and ready after {time.perf_counter() - began:.0f} s\n")
        print(f"{'':12} {'accuracy':>9} {'docs/s':>8}")
        for name in names:
            show(flow, f"/classify/{name}", num_docs, name)
        show(flow, "/classify", num_docs, "all, by vote")


def flow_of(names: list[str]) -> Flow:
    """Return a Flow with a branch per framework. `/classify` goes to all of them, `/classify/jax` to one."""
    flow = Flow()
    for name in names:
        endpoints = {"/classify": "classify", f"/classify/{name}": "classify"}
        flow = flow.add(uses=str(FOLDER / f"with_{name}.py"), name=name, needs="gateway", uses_requests=endpoints)
    return flow.add(uses=str(FOLDER / "vote.py"), name="vote", needs=names)


def show(flow: Flow, endpoint: str, num_docs: int, name: str) -> None:
    images, digits = unseen()
    rows = np.arange(num_docs) % len(images)
    flow.post(on=endpoint, inputs=documents(images[:64]), request_size=64)  # what is compiled on first use
    docs = documents(images[rows])
    began = time.perf_counter()
    answers = flow.post(on=endpoint, inputs=docs, request_size=64)
    rate = num_docs / (time.perf_counter() - began)
    right = np.asarray([tags["digit"] for tags in answers.tags]) == digits[rows]
    print(f"{name:12} {right.mean():9.3f} {rate:8,.0f}")


if __name__ == "__main__":
    main()
