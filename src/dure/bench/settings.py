"""The loop in plain PyTorch with one setting changed at a time, and with all of them, in turn.

Knows which settings make sense on which device.
"""

from dataclasses import dataclass, replace

import numpy as np

from dure.bench.clock import is_real_gpu
from dure.bench.encoding import Encoding, Pass
from dure.bench.plain_model import Setting
from dure.bench.timing import Effort, Spread, compared, ratio
from dure.bench.tokenizing import IN_LINE, IN_PROCESSES, IN_THREAD
from dure.bench.tutorial import BATCH_SIZE

BASE = f"as the tutorial: batches of {BATCH_SIZE}"
_NUM_COMPARED = 256


@dataclass(frozen=True, slots=True)
class SettingPoint:
    """The loop with one setting.

    Args:
        device: Where.
        name: What is special about it.
        setting: All of it.
        passes: What the passes came to.
        faster: How many times the rate of the tutorial's batches.
        least_cosine: Of the embeddings with those of the tutorial's setting, the least of some hundred texts.
    """

    device: str
    name: str
    setting: Setting
    passes: Pass
    faster: Spread
    least_cosine: float


def worth_trying(batch_size: int, dtypes: list[str], *, gpu: bool) -> dict[str, Setting]:
    """Return the settings by name, the tutorial's first.

    Args:
        batch_size: The smallest one that fills the device.
        dtypes: Types of numbers that make sense there.
        gpu: Whether locked memory does.
    """
    plain = Setting(batch_size)
    found = {BASE: Setting(BATCH_SIZE)}
    if plain != found[BASE]:
        found[f"batches of {batch_size}"] = plain
    found |= {dtype: replace(plain, dtype=dtype) for dtype in dtypes if dtype != "float32"}
    found["by length"] = replace(plain, by_length=True)
    if gpu:
        found["pinned memory"] = replace(plain, pinned=True)
    for where in (IN_THREAD, IN_PROCESSES):
        found[f"tokenizing {where}"] = replace(plain, tokenizing=where)
    half = dtypes[1] if len(dtypes) > 1 else "float32"
    everything = Setting(batch_size, half, by_length=True, pinned=gpu, tokenizing=IN_THREAD)
    larger = 4 * batch_size
    return found | {"all of it": everything, f"all of it, batches of {larger}": replace(everything, batch_size=larger)}


def settings(
    encoding: Encoding, batch_size: int, dtypes: list[str], docs_per_s: float, effort: Effort
) -> list[SettingPoint]:
    """Measure the settings in turn, each over about as many texts as the device encodes in a pass.

    Args:
        encoding: Model and device.
        batch_size: The smallest one that fills the device.
        dtypes: Types of numbers that make sense there.
        docs_per_s: What the device reached with such batches.
        effort: How long.
    """
    gpu = is_real_gpu(encoding.context)
    tried = worth_trying(batch_size, dtypes, gpu=gpu)
    largest = max(setting.batch_size for setting in tried.values())
    count = encoding.count(docs_per_s, largest)
    with encoding.sources() as sources:
        runs = {name: encoding.runs(one, sources[one.tokenizing], count) for name, one in tried.items()}
        rounds = compared({name: run.work for name, run in runs.items()}, encoding.clocks.around, effort)
        some = min(_NUM_COMPARED, count)
        expected = encoding.embeddings(tried[BASE], sources[IN_LINE], some)
        return [
            SettingPoint(
                str(encoding.context),
                name,
                one,
                runs[name].told(rounds[name]),
                faster=ratio(rounds[BASE], rounds[name]),
                least_cosine=least_cosine(expected, encoding.embeddings(one, sources[IN_LINE], some)),
            )
            for name, one in tried.items()
        ]


def least_cosine(expected: np.ndarray, found: np.ndarray) -> float:
    """Return the cosine of the pair of rows that are least alike."""
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    return float(((expected * found).sum(1) / lengths).min())
