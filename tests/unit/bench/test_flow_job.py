from pathlib import Path

import pytest

from dure.bench.encoding import Clocks, Encoding
from dure.bench.flow_job import TUTORIAL, bare_jobs, loop_name, told
from dure.bench.plain_model import PlainModel
from dure.bench.timing import Effort, Spread
from dure.device.context import cpu
from tests.tiny_model import write_tiny_model

TEXTS = [f"Sentence {number}." for number in range(32)]


def test_ways_are_held_against_the_loop_and_counted_as_the_tutorial_does() -> None:
    loop, tutorial = told("gpu(0)", 64, {"loop": [1.0, 2.0], TUTORIAL: [2.0, 2.0]}, "loop")
    assert (loop.way, tutorial.way) == ("loop", TUTORIAL)
    assert loop.against_loop == Spread(1.0, 1.0, 1.0, 2)
    assert tutorial.docs_per_s == Spread(32.0, 32.0, 32.0, 2)
    assert tutorial.steps_per_s == Spread(1.0, 1.0, 1.0, 2)
    assert tutorial.against_loop == Spread(0.75, 0.5, 1.0, 2)


def test_dures_encoder_takes_turns_with_the_loop(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the extra `models` is not installed")
    folder = write_tiny_model(tmp_path / "tiny")
    encoding = Encoding(cpu(), PlainModel(folder, "cpu"), TEXTS, Clocks.of(cpu()), pass_s=0.001)
    found = bare_jobs(encoding, folder, [2, 8], 1.0, Effort(0.0, 0.0, min_samples=2, max_samples=2))
    assert [job.way for job in found[::2]] == [loop_name(2), loop_name(8)]
    assert [job.way for job in found[1::2]] == [f"SentenceEncoder without a Flow, batches of {size}" for size in (2, 8)]
    assert [job.num_texts for job in found] == [4, 4, 16, 16]
