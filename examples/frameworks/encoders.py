"""One model by two libraries in fp32 and int8, side by side in one run: documents per second, and cosine to fp32.

    python encoders.py [number of texts] [rounds]

Every round goes through all of them, one after the other, so that what else the machine does falls on each alike.
"""

import random
import statistics
import sys
import time
from typing import TYPE_CHECKING

from dure import Document, DocumentArray
from dure.dataset import corpus
from dure.nlp.encoder import SentenceEncoder
from dure.nlp.fidelity import compare

if TYPE_CHECKING:
    import numpy as np

# On a CPU without instructions for it, bf16 takes so long that nobody would wait for its rounds.
ENCODERS = (("torch", "fp32"), ("torch", "int8"), ("onnx", "fp32"), ("onnx", "int8"))
SHORTEST, LONGEST = 5, 120  # words of the mixed texts


def main() -> None:
    num_texts = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    num_rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    encoders = {" ".join(kind): SentenceEncoder(backend=kind[0], precision=kind[1]) for kind in ENCODERS}
    for name, texts in (
        ("docstrings, 5-60 words", corpus.read(num_texts)),
        (f"mixed, {SHORTEST}-{LONGEST} words", mixed(num_texts)),
    ):
        print(f"\n{name}: {num_texts} texts, {num_rounds} rounds; median (least-most) of the rounds")
        print(f"{'':12} {'docs/s':>22} {'x torch fp32':>18} {'CPU ms a text':>18} {'cosine least':>13} {'mean':>7}")
        for line in measured(encoders, texts, num_rounds):
            print(line, flush=True)


def mixed(count: int) -> list[str]:
    """Return texts whose lengths in words are drawn evenly, cut out of the corpus."""
    draw = random.Random(0)
    words = " ".join(corpus.read(3000)).split()
    lengths = [draw.randint(SHORTEST, LONGEST) for _ in range(count)]
    starts = [draw.randrange(len(words) - length) for length in lengths]
    return [" ".join(words[start : start + length]) for start, length in zip(starts, lengths, strict=True)]


def measured(encoders: dict[str, SentenceEncoder], texts: list[str], num_rounds: int) -> list[str]:
    cpu_ms: dict[str, list[float]] = {name: [] for name in encoders}
    rates: dict[str, list[float]] = {name: [] for name in encoders}
    embeddings: dict[str, np.ndarray] = {}
    for _ in range(num_rounds):
        for name, encoder in encoders.items():
            docs = DocumentArray(Document(text=text) for text in texts)
            began, cpu_began = time.perf_counter(), time.process_time()
            encoder.encode(docs)
            cpu_ms[name].append((time.process_time() - cpu_began) / len(docs) * 1e3)
            rates[name].append(len(docs) / (time.perf_counter() - began))
            embeddings[name] = docs.embeddings
    base = next(iter(encoders))
    lines = []
    for name, found in rates.items():
        ratios = [one / other for one, other in zip(found, rates[base], strict=True)]
        work = spread(cpu_ms[name], 1)
        alike = compare(embeddings[name], embeddings[base])
        lines.append(
            f"{name:12} {spread(found, 0):>22} {spread(ratios, 2):>18} {work:>18} {alike.least:13.4f} {alike.mean:7.4f}"
        )
    return lines


def spread(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


if __name__ == "__main__":
    main()
