"""The loop in plain PyTorch over batch sizes: where a device is full.

Knows when more adds nothing, and what running out of memory looks like.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from dure.bench.clock import is_real_gpu
from dure.bench.encoding import Encoding, Pass
from dure.bench.plain_model import Setting
from dure.bench.timing import Effort, compared, timed
from dure.bench.tokenizing import IN_LINE, Source, source
from dure.bench.tutorial import BATCH_SIZE
from dure.deps import require

_NO_GAIN = 1.03
_FULL_AFTER = 2
_FEW = 8  # texts that tell about how fast a device is


@dataclass(frozen=True, slots=True)
class BatchPoint:
    """The loop with batches of one size.

    Args:
        device: Where.
        dtype: Type of numbers.
        batch_size: Texts of a batch.
        passes: What the passes came to.
        memory_bytes: Most memory of the device that was taken; `None` where nobody counts.
    """

    device: str
    dtype: str
    batch_size: int
    passes: Pass
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Sweep:
    """Batches of growing size, and why there are no larger ones."""

    points: list[BatchPoint]
    ended: str


def sweep(encoding: Encoding, setting: Setting, sizes: Sequence[int], effort: Effort) -> Sweep:
    """Make the batch larger until that adds nothing, it does not fit, or the time is up.

    Args:
        encoding: Model and device.
        setting: All else.
        sizes: Texts of a batch, growing.
        effort: How long.
    """
    points: list[BatchPoint] = []
    end = monotonic() + effort.sweep_s
    docs_per_s = 0.0
    with source(IN_LINE, encoding.model.tokenizer_path, encoding.model.max_length) as tokens:
        for size in sizes:
            if monotonic() > end:
                return Sweep(points, "the time was up")
            try:
                points.append(_measured(encoding, replace(setting, batch_size=size), tokens, docs_per_s, effort))
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                _free(encoding)
                return Sweep(points, f"batches of {size} do not fit into the memory")
            if is_full(points):
                return Sweep(points, "larger batches add nothing")
            docs_per_s = points[-1].passes.docs_per_s.median
    return Sweep(points, "no larger batches were asked for")


def is_full(points: Sequence[BatchPoint]) -> bool:
    """Return whether the last sizes did not raise the rate any more; the tutorial's size is always tried."""
    if len(points) <= _FULL_AFTER or points[-1].batch_size < BATCH_SIZE:
        return False
    rates = [point.passes.docs_per_s.median for point in points]
    return max(rates[-_FULL_AFTER:]) < _NO_GAIN * max(rates[:-_FULL_AFTER])


def full_at(points: Sequence[BatchPoint]) -> BatchPoint:
    """Return the smallest batch that comes within three per cent of the best; there is at least one point."""
    best = max(point.passes.docs_per_s.median for point in points)
    return next(point for point in points if point.passes.docs_per_s.median * _NO_GAIN >= best)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether PyTorch says that memory ran out."""
    text = str(error)
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def _measured(encoding: Encoding, setting: Setting, tokens: Source, docs_per_s: float, effort: Effort) -> BatchPoint:
    if not docs_per_s:
        few = encoding.runs(setting, tokens, _FEW)
        docs_per_s = _FEW / min(timed(few.work, encoding.clocks.around) for _ in range(2))
    runs = encoding.runs(setting, tokens, encoding.count(docs_per_s, setting.batch_size))
    cuda = _cuda(encoding)
    if cuda is not None:
        cuda.reset_peak_memory_stats(encoding.model.device)
    seconds = compared({"pass": runs.work}, encoding.clocks.around, effort)["pass"]
    memory = None if cuda is None else int(cuda.max_memory_allocated(encoding.model.device))
    return BatchPoint(str(encoding.context), setting.dtype, setting.batch_size, runs.told(seconds), memory)


def _free(encoding: Encoding) -> None:
    cuda = _cuda(encoding)
    if cuda is not None:
        cuda.empty_cache()


def _cuda(encoding: Encoding) -> Any:
    return require("torch", "models").cuda if is_real_gpu(encoding.context) else None
