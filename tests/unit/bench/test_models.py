"""The loop in plain PyTorch on a tiny model: whatever the setting, the embeddings are those of dure's own encoder."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dure.bench import batches
from dure.bench.batches import BatchPoint, full_at, is_full, is_out_of_memory
from dure.bench.encoding import Clocks, Encoding, Pass
from dure.bench.plain_model import STAGES, PlainModel, Setting
from dure.bench.settings import BASE, least_cosine, settings, worth_trying
from dure.bench.stages import StageTimes
from dure.bench.timing import Effort, Spread
from dure.bench.tokenizing import IN_LINE, IN_PROCESSES, IN_THREAD, Source, source
from dure.device.context import cpu
from dure.errors import ModelError
from dure.nlp.sentence_config import SentenceConfig
from dure.nlp.sentence_model import SentenceModel
from tests.tiny_model import HIDDEN_SIZE, INTERMEDIATE_SIZE, MAX_LENGTH, NUM_LAYERS, write_tiny_model
from tests.unit.bench.clocks import TickingClock

pytest.importorskip("transformers", reason="the extra `models` is not installed")

TEXTS = [f"Sentence {number} has {'many ' * (number % 7)}words." for number in range(40)]
PASSES = Effort(sample_s=0.0, point_s=0.0, min_samples=2, max_samples=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def encoding(folder: Path) -> Encoding:
    return Encoding(cpu(), PlainModel(folder, "cpu"), TEXTS, Clocks.of(cpu()), pass_s=0.001)


@pytest.fixture(scope="module")
def sources(encoding: Encoding) -> Iterator[dict[str, Source]]:
    with encoding.sources() as found:
        yield found


@pytest.fixture(scope="module")
def expected(folder: Path) -> np.ndarray:
    return SentenceModel(folder, SentenceConfig.read(folder), "cpu").encode(TEXTS)


@pytest.mark.parametrize(
    "setting",
    [
        Setting(1),
        Setting(16),
        Setting(64),
        Setting(16, by_length=True),
        Setting(16, tokenizing=IN_THREAD),
        Setting(3, tokenizing=IN_PROCESSES, by_length=True),
    ],
    ids=str,
)
def test_settings_change_no_embedding(
    setting: Setting, encoding: Encoding, sources: dict[str, Source], expected: np.ndarray
) -> None:
    found = encoding.embeddings(setting, sources[setting.tokenizing], len(TEXTS))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_half_precision_changes_them_little(
    encoding: Encoding, sources: dict[str, Source], expected: np.ndarray
) -> None:
    found = encoding.embeddings(Setting(16, "bfloat16"), sources[IN_LINE], len(TEXTS))
    assert 0.99 < least_cosine(expected, found) < 0.999999
    exact = encoding.embeddings(Setting(16), sources[IN_LINE], len(TEXTS))
    np.testing.assert_allclose(exact, expected, atol=1e-5)  # the rounded weights are others


def test_long_texts_are_cut_off(encoding: Encoding, sources: dict[str, Source]) -> None:
    assert encoding.lengths.max() <= MAX_LENGTH
    (batch,) = sources[IN_LINE]([["word " * 100, "word"]])
    assert batch.ids.shape == batch.mask.shape == (2, MAX_LENGTH)
    assert batch.mask.sum(1).tolist() == [MAX_LENGTH, 6]


def test_other_poolings_are_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "cls")
    pooling = {"word_embedding_dimension": HIDDEN_SIZE, "pooling_mode_cls_token": True}
    (tmp_path / "cls" / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    with pytest.raises(ModelError, match="only models with mean pooling"):
        PlainModel(tmp_path / "cls", "cpu")


def test_the_shape_is_read_from_the_model(encoding: Encoding) -> None:
    shape = encoding.model.shape
    assert (shape.num_layers, shape.hidden_size, shape.intermediate_size) == (
        NUM_LAYERS,
        HIDDEN_SIZE,
        INTERMEDIATE_SIZE,
    )


def test_a_pass_is_made_of_whole_batches(encoding: Encoding) -> None:
    assert encoding.count(docs_per_s=24_000.0, batch_size=8) == 24
    assert encoding.count(docs_per_s=1e9, batch_size=8) == 40  # there are no more texts
    assert encoding.count(docs_per_s=1.0, batch_size=8) == 16
    assert encoding.count(docs_per_s=1.0, batch_size=32) == 32
    assert encoding.count(docs_per_s=10.0, batch_size=8, pass_s=3.0) == 32
    assert encoding.taken(42) == [*TEXTS, *TEXTS[:2]]


def test_what_a_pass_came_to(encoding: Encoding, sources: dict[str, Source]) -> None:
    runs = encoding.runs(Setting(8), sources[IN_LINE], 16)
    for _ in range(3):
        runs.work()
    told = runs.told([2.0, 4.0])
    assert told.docs_per_s == Spread(16 / 3, 4.0, 8.0, 2)
    assert list(told.stages) == list(STAGES)
    assert 0 < sum(told.stages.values()) < 1
    assert 0 < told.padding < 1
    sorted_ones = encoding.runs(Setting(8, by_length=True), sources[IN_LINE], 16)
    sorted_ones.work()
    assert sorted_ones.told([3.0]).padding < told.padding
    assert sorted_ones.told([3.0]).flops == pytest.approx(told.flops)


def test_batches_grow_up_to_the_largest(folder: Path) -> None:
    clocks = Clocks(around=TickingClock(), host=TickingClock(0.1), device=TickingClock(0.1))
    encoding = Encoding(cpu(), PlainModel(folder, "cpu"), TEXTS, clocks, pass_s=1.0)
    found = batches.sweep(encoding, Setting(32), [1, 8, 64], PASSES)
    assert [point.batch_size for point in found.points] == [1, 8, 64]
    assert found.ended == "no larger batches were asked for"
    # A pass takes a second whatever it holds: its texts are its rate.
    assert all(point.passes.docs_per_s.median == point.passes.num_texts for point in found.points)
    assert all(point.memory_bytes is None for point in found.points)


class _Full(PlainModel):
    def encode(self, texts, setting, tokens, stages: StageTimes) -> np.ndarray:  # type: ignore[no-untyped-def]
        if setting.batch_size > 4:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().encode(texts, setting, tokens, stages)


def test_batches_end_where_memory_does(folder: Path) -> None:
    encoding = Encoding(cpu(), _Full(folder, "cpu"), TEXTS, Clocks.of(cpu()), pass_s=0.001)
    found = batches.sweep(encoding, Setting(32), [1, 2, 4, 8, 16], PASSES)
    assert [point.batch_size for point in found.points] == [1, 2, 4]
    assert found.ended == "batches of 8 do not fit into the memory"
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))


def point(batch_size: int, rate: float) -> BatchPoint:
    return BatchPoint("cpu(0)", "float32", batch_size, Pass(1, Spread.of([rate]), 0.0, 0.0, {}), None)


def test_full_is_where_doubling_twice_adds_nothing() -> None:
    points = [point(8, 50.0), point(16, 98.0), point(32, 100.0), point(64, 99.0)]
    assert not is_full(points[:3])
    assert is_full(points)
    assert not is_full([point(1, 50.0), point(2, 50.0), point(4, 50.0)])  # the tutorial's 32 are always tried
    assert full_at(points).batch_size == 16


def test_settings_that_make_sense() -> None:
    host = worth_trying(16, ["float32"], gpu=False)
    assert next(iter(host)) == BASE
    assert not any(setting.pinned for setting in host.values())
    assert {setting.dtype for setting in host.values()} == {"float32"}
    assert "batches of 16" in host
    assert "batches of 32" not in worth_trying(32, ["float32"], gpu=False)
    gpu = worth_trying(512, ["float32", "float16", "bfloat16"], gpu=True)
    assert gpu["pinned memory"] == Setting(512, pinned=True)
    everything = Setting(512, "float16", by_length=True, pinned=True, tokenizing=IN_THREAD)
    assert gpu["all of it"] == everything
    assert gpu["all of it, batches of 2048"] == replace(everything, batch_size=2048)
    assert {setting.dtype for setting in gpu.values()} == {"float32", "float16", "bfloat16"}


def test_settings_are_measured_in_turn(encoding: Encoding) -> None:
    found = settings(encoding, 8, ["float32", "bfloat16"], docs_per_s=1.0, effort=PASSES)
    assert [one.name for one in found] == list(worth_trying(8, ["float32", "bfloat16"], gpu=False))
    assert found[0].faster == Spread(1.0, 1.0, 1.0, 2)
    for one in found:
        assert one.passes.num_texts == 32
        assert one.least_cosine == pytest.approx(1.0, abs=1e-5 if one.setting.dtype == "float32" else 0.01)


def test_the_least_cosine_is_that_of_the_worst_row() -> None:
    expected = np.array([[1.0, 0.0], [0.0, 2.0]])
    found = np.array([[3.0, 0.0], [1.0, 1.0]])
    assert least_cosine(expected, found) == pytest.approx(np.sqrt(0.5))


def test_processes_are_no_part_of_what_is_timed(folder: Path) -> None:
    with source(IN_PROCESSES, str(folder / "tokenizer.json"), MAX_LENGTH) as tokens:
        assert [len(batch.ids) for batch in tokens([["a"], ["b", "c"]])] == [1, 2]
