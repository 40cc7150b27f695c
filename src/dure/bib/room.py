"""How much of a GPU's memory a training needs, roughly, and on which GPU there is room for it.

An estimate: what does not fit after all is halved by the training itself. Knows sizes; starts nothing.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from dure.bib.job import Job
from dure.device.probe import DeviceInfo, inventory
from dure.learning.recipe import Recipe

_CONTEXT_BYTES = 700 * 2**20  # what CUDA and its libraries take before a tensor is made
_SMALL_MODEL_BYTES = 500 * 2**20
_BATCH = 32
_TOKENS = 256
_COPIES = 4  # weights, gradients and Adam's two moments, in float32


def needed_bytes(recipe: Recipe) -> int:
    """Return about how much memory of a GPU a training takes.

    Source: Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer Models", equation 2: a
    layer keeps s·b·h·(34 + 5·a·s/h) bytes in half precision.
    """
    if recipe.encoder is None:
        return _CONTEXT_BYTES + _SMALL_MODEL_BYTES
    folder = Path(recipe.encoder)
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        hidden, layers = int(config["hidden_size"]), int(config["num_hidden_layers"])
        heads = int(config["num_attention_heads"])
    except (OSError, ValueError, KeyError, TypeError):
        hidden, layers, heads = 768, 12, 12  # as BERT base; the worker tells what is wrong with the folder
    batch = recipe.batch_size or _BATCH
    width = 1 if recipe.precision != "float32" else 2
    kept = layers * _TOKENS * batch * (34 * hidden + 5 * heads * _TOKENS) * width
    return _CONTEXT_BYTES + _COPIES * weights + kept


def find_room(job: Job, running: Sequence[Job]) -> tuple[str, str]:
    """Return the GPU on which a job may run now and an empty text, or nothing and what is in its way.

    A job that is alone on its GPU runs whatever it needs: nothing else would ever make room for it.
    """
    found = inventory()
    wanted = [gpu for gpu in found.gpus if job.device in ("gpu", str(gpu.context))]
    if not wanted:
        return "", f"waits for {job.device}: {found.missing or 'it is not on this machine'}"
    free = {gpu: _free_bytes(gpu, [other for other in running if other.placed == str(gpu.context)]) for gpu in wanted}
    best = max(wanted, key=lambda gpu: free[gpu])
    alone = all(other.placed != str(best.context) for other in running)
    if alone or job.need_bytes <= free[best]:
        return str(best.context), ""
    return "", (
        f"waits for room on {best.context}: it needs about {job.need_bytes:,} bytes, {free[best]:,} are free beside"
        " what trains there"
    )


def _free_bytes(gpu: DeviceInfo, running: Sequence[Job]) -> int:
    """Return what is free by the driver's account and by what those that run are thought to take in the end."""
    promised = (gpu.memory_total_bytes or 0) - sum(job.need_bytes for job in running)
    return max(0, min(promised, gpu.memory_free_bytes if gpu.memory_free_bytes is not None else promised))
