"""Encode real sentences in a Flow, then show that the embeddings mean something.

    python main.py [number of sentences] [--device cpu|cuda|cuda:1]

Without a number it takes 10,000, or as many as the environment variable DURE_EXAMPLE_DOCS says.
"""

import argparse
import os
import platform
import time

from dure import Document, DocumentArray, Flow
from dure.dataset import corpus
from dure.device.probe import inventory
from dure.nlp.encoder import SentenceEncoder

NUM_NEIGHBOURS = 5


def main() -> None:
    options = read_options()
    device = options.device or best_device()
    docs = DocumentArray(Document(text=sentence) for sentence in corpus.read(options.num_docs))
    print(f"{len(docs):,} sentences from the docstrings of Python {platform.python_version()}, on {device}")

    flow = Flow().add(uses=SentenceEncoder, uses_with={"device": device})
    with flow:
        began = time.perf_counter()
        docs = flow.post(on="/encode", inputs=docs, show_progress=True, request_size=32)
        seconds = time.perf_counter() - began

    print(f"\n{len(docs):,} documents in {seconds:.1f} s on {device}: {len(docs) / seconds:,.0f} docs/s")
    show_neighbours(docs, len(docs) // 2)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Encode real sentences in a Flow.")
    told = os.environ.get("DURE_EXAMPLE_DOCS", "10000")
    parser.add_argument(
        "num_docs", nargs="?", type=int, default=told, help="sentences to encode (default: %(default)s)"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: the best one present)")
    options = parser.parse_args()
    if options.num_docs < 1:
        parser.error(f"num_docs: at least 1, not {options.num_docs}")
    return options


def best_device() -> str:
    present = inventory()
    if not present.gpus:
        print(f"No GPU: {present.missing}")
        return "cpu"
    import torch  # takes seconds, so only where there is something to ask it

    if not torch.cuda.is_available():
        print(f"A GPU is present ({present.gpus[0].name}), but PyTorch {torch.__version__} cannot use it.")
        return "cpu"
    print(f"GPU: {torch.cuda.get_device_name()}")
    return "cuda"


def show_neighbours(docs: DocumentArray, row: int) -> None:
    query = docs[row : row + 1]
    query.match(docs, limit=NUM_NEIGHBOURS, exclude_self=True)
    print(f"\nNearest to\n        {query[0].text}\nare")
    for found in query[0].matches:
        print(f"  {found.scores['cosine']:.3f} {found.text}")


if __name__ == "__main__":
    main()
