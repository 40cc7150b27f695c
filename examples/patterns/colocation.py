"""Co-location: two Executors in one process, which hand documents on without a copy, beside the same two in two.

    python colocation.py [number of frames] [rounds]

The job: which frames of a camera show the same? `Gray` takes the colour out of them, `Fingerprint` makes 64 bits of
what is left. The frames are drawn by this program. Without a number it takes 200, or as many as the environment
variable DURE_EXAMPLE_DOCS says.
"""

import os
import statistics
import sys
import time
from typing import Any

import numpy as np

from dure import Document, DocumentArray, Executor, Flow, requests

SIDES = ((48, 64), (480, 640))  # height, width
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
ROWS, COLUMNS = 8, 9
MAX_BITS = 6  # that the fingerprints of frames that show the same may differ in


class Gray(Executor):
    """Frames, `(height, width, 3) uint8`, to their brightness, `(height, width) float32`."""

    @requests(on="/fingerprint")
    def gray(self, docs: DocumentArray, **_: Any) -> None:
        brightness = docs.tensors @ LUMINANCE
        docs.tensors = brightness
        docs.tags = [{"made": [os.getpid(), brightness.ctypes.data]}] * len(docs)


class Fingerprint(Executor):
    """Is it brighter to the right? One bit for each of 8x8 places of a frame.

    Source: N. Krawetz, "Kind of Like That" (2013): the difference hash.
    """

    @requests(on="/fingerprint")
    def fingerprint(self, docs: DocumentArray, **_: Any) -> None:
        frames = docs.tensors
        pid, place = docs[0].tags["made"]
        count, height, width = frames.shape
        rows = np.add.reduceat(frames, np.arange(ROWS) * height // ROWS, axis=1)
        cells = np.add.reduceat(rows, np.arange(COLUMNS) * width // COLUMNS, axis=2)
        bits = np.packbits(cells[..., 1:] > cells[..., :-1]).reshape(count, -1)
        where = {"same_process": pid == os.getpid(), "same_memory": place == frames.ctypes.data}
        docs.tags = [{"bits": row.tobytes().hex(), **where} for row in bits]
        docs.tensors = [None] * count


def main() -> None:
    num_docs = int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("DURE_EXAMPLE_DOCS", "200"))
    num_rounds = int(sys.argv[2] if len(sys.argv) > 2 else os.environ.get("DURE_EXAMPLE_ROUNDS", "5"))
    with chain() as apart, chain(group="vision") as together:
        flows = {"two processes": apart, "one, group=": together}
        print(f"{num_docs} frames, {num_rounds} rounds; median (least-most) of the rounds")
        print(f"{'':14} {'frame':>9} {'frames/s':>22} {'one frame, ms':>20}  handed on")
        for height, width in SIDES:
            docs = frames(num_docs, height, width)
            rounds = [{name: one_round(flow, docs) for name, flow in flows.items()} for _ in range(num_rounds)]
            for name in flows:
                rate, took, how = zip(*(one[name] for one in rounds), strict=True)
                size = f"{width}x{height}"
                print(f"{name:14} {size:>9} {spread(rate, 0):>22} {spread(took, 2):>20}  {how[0]}")
        found = together.post("/fingerprint", docs, request_size=4)
        print(f"of {num_docs // 2} pairs that show the same, {pairs_found(found)} have fingerprints that are alike")


def chain(**settings: Any) -> Flow:
    """Return both Executors, one after the other; with `group="vision"` in one process."""
    flow = Flow().add(uses=Gray, name="gray", cpu_threads=1, **settings)
    return flow.add(uses=Fingerprint, name="fingerprint", **settings)


def frames(count: int, height: int, width: int) -> DocumentArray:
    """Return frames, two of each scene: the second is darker, and seen by a camera with noise."""
    draw = np.random.default_rng(0)
    down, right = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    shown = []
    for _ in range((count + 1) // 2):
        waves = draw.uniform(1, 9, (3, 2)) * draw.choice([-1, 1], (3, 2))
        brightness = 30 * sum(np.sin(a * down + b * right) for a, b in waves) + 128
        colours = draw.uniform(0.7, 1.3, 3).astype(np.float32)
        scene = brightness[..., None] * colours  # (height, width, 3)
        other = scene * 0.8 + 4 * draw.standard_normal(scene.shape, np.float32)
        shown += [frame.clip(0, 255).astype(np.uint8) for frame in (scene, other)]
    return DocumentArray(Document(tensor=frame) for frame in shown[:count])


def one_round(flow: Flow, docs: DocumentArray) -> tuple[float, float, str]:
    """Return frames per second, milliseconds that one alone takes, and how they were handed on."""
    one = docs[:1]
    flow.post("/fingerprint", one)
    alone = []
    for _ in range(20):
        began = time.perf_counter()
        flow.post("/fingerprint", one)
        alone.append((time.perf_counter() - began) * 1e3)
    began = time.perf_counter()
    tags = flow.post("/fingerprint", docs, request_size=4).tags
    rate = len(docs) / (time.perf_counter() - began)
    kept = all(each["same_process"] and each["same_memory"] for each in tags)
    return rate, statistics.median(alone), "as they are" if kept else "as a copy"


def pairs_found(docs: DocumentArray) -> int:
    bits = [int(tags["bits"], 16) for tags in docs.tags]
    return sum((one ^ other).bit_count() <= MAX_BITS for one, other in zip(bits[::2], bits[1::2], strict=False))


def spread(values: tuple[float, ...], digits: int) -> str:
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


if __name__ == "__main__":
    main()
