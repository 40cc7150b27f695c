"""Room on GPUs: what a training needs is estimated, and two share one only if both fit."""

import json
from pathlib import Path
from typing import Any

from dure.bib.job import Job, State
from dure.bib.room import find_room, needed_bytes
from dure.device.simulated import simulated_gpus
from dure.learning.recipe import Recipe

GIB = 2**30


def job(device: str = "gpu", placed: str = "", need_bytes: int = GIB) -> Job:
    rest: dict[str, Any] = {"model_name": "m", "task": "tc", "recipe": {}, "num_rows": 1, "digest": "", "note": ""}
    rest |= {"num_crashes": 0, "step": -1, "version": 0, "created_at": "", "is_cancelled": False}
    return Job(id="j", device=device, placed=placed, need_bytes=need_bytes, state=State.QUEUED, **rest)


def test_the_emptiest_gpu_is_taken_and_a_full_one_is_not() -> None:
    with simulated_gpus(2, memory_bytes=3 * GIB):
        assert find_room(job(), [])[0] in ("gpu(0)", "gpu(1)")
        assert find_room(job(), [job(placed="gpu(0)")])[0] == "gpu(1)"
        both = [job(placed="gpu(0)", need_bytes=2 * GIB), job(placed="gpu(1)")]
        assert find_room(job(), both)[0] == "gpu(1)"
        placed, why = find_room(job(need_bytes=3 * GIB), both)
        assert placed == ""
        assert "it needs about 3,221,225,472 bytes, 2,147,483,648 are free" in why


def test_one_gpu_is_meant() -> None:
    with simulated_gpus(2, memory_bytes=3 * GIB):
        assert find_room(job("gpu(1)"), []) == ("gpu(1)", "")
        placed, why = find_room(job("gpu(5)"), [])
        assert (placed, why) == ("", "waits for gpu(5): it is not on this machine")
    with simulated_gpus(0):
        assert "waits for gpu: " in find_room(job(), [])[1]


def test_who_is_alone_runs_whatever_it_is_thought_to_need() -> None:
    with simulated_gpus(1, memory_bytes=GIB):
        assert find_room(job(need_bytes=100 * GIB), []) == ("gpu(0)", "")


def test_an_encoder_needs_more_the_more_goes_through_it(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x" * 1000)
    config = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
    (tmp_path / "config.json").write_text(json.dumps(config))
    folder = str(tmp_path)
    recipes: list[dict[str, Any]] = [
        {},
        {"encoder": folder, "batch_size": 32},
        {"encoder": folder, "batch_size": 64},
        {"encoder": folder, "batch_size": 64, "precision": "bfloat16"},
    ]
    small, batch32, batch64, half = (needed_bytes(Recipe(task="tc", **changed)) for changed in recipes)
    assert small < batch32 < batch64
    assert half < batch64
    assert 4 * GIB < batch32 < 16 * GIB  # BERT base, 32 texts of 256 tokens
    (tmp_path / "config.json").write_text("{")
    assert needed_bytes(Recipe(task="tc", encoder=str(tmp_path), batch_size=32)) == batch32
