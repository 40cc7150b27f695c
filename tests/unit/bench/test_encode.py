"""The whole of `bench encode` on a tiny model and a simulated GPU, and what becomes of the figures."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dure.bench import encode, results
from dure.bench.batches import BatchPoint
from dure.bench.encode import QUICK_EFFORT, EncodeReport, measure, shuffled
from dure.bench.encode_plots import save_plots
from dure.bench.encode_tables import text_of
from dure.bench.encoding import Pass
from dure.bench.flow_job import OWN, TUTORIAL, Job
from dure.bench.plain_model import STAGES
from dure.bench.session import Session
from dure.bench.timing import Effort, Spread
from dure.device.context import gpu
from dure.device.simulated import simulated_gpus
from dure.errors import ModelNotFound
from tests.tiny_model import HIDDEN_SIZE, write_tiny_model

pytest.importorskip("transformers", reason="the extra `models` is not installed")

PARTS = (
    "the best product",
    "batch sizes",
    "the tutorial's job in a Flow",
    "SentenceEncoder beside the loop",
    "settings",
)
# The sizes are few, so that all of them are measured, however busy the machine is.
EFFORT = replace(
    QUICK_EFFORT, num_texts=40, pass_s=0.001, passes=Effort(0.0, 0.0, min_samples=2, max_samples=2, sweep_s=60.0)
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> EncodeReport:
    folder = write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    with simulated_gpus(1), pytest.MonkeyPatch.context() as patch:
        patch.setattr(encode, "flow_jobs", lambda *_: [])  # processes take long to start: see tests/e2e
        return measure(Session([gpu(0)], lambda _: None), str(folder), EFFORT)


def test_every_part_is_measured(report: EncodeReport) -> None:
    assert report.failures == []
    assert report.model["name"] == "tiny"
    assert report.texts["count"] == 40
    assert [point.batch_size for point in report.points] == [8, 32]
    assert report.settings
    assert {job.device for job in report.bare} == {"gpu(0)"}


def test_what_dures_encoder_moves_is_in_the_ledger(report: EncodeReport) -> None:
    loop, own = report.bare[:2]
    assert loop.moved is None
    assert own.moved is not None
    assert own.moved.num_bytes >= own.num_texts * HIDDEN_SIZE * 4  # the embeddings, and the tokens before


def test_sentences_are_the_same_each_time_and_in_no_order() -> None:
    found = shuffled(20)
    assert found == shuffled(20)
    assert len(set(found)) == 20
    assert found != sorted(found)


def test_a_model_that_is_not_there_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with simulated_gpus(1), pytest.raises(ModelNotFound):
        measure(Session([gpu(0)], lambda _: None), str(tmp_path / "nothing"), EFFORT)


def test_what_there_is_no_time_for_is_told(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    session = Session([gpu(0)], lambda _: None, has_time=lambda: False)
    with simulated_gpus(1):
        found = measure(session, str(folder), EFFORT)
        paths = results.save(found, "encode", tmp_path, text_of(found), lambda path: save_plots(found, path))
    assert found.failures == [f"gpu(0): {part}: left out, the time was up." for part in PARTS]
    assert "FAILED: gpu(0): settings" in paths[1].read_text(encoding="utf-8")


def test_figures_become_tables_files_and_a_page(report: EncodeReport, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")
    whole = with_real_gpu(report)
    text = text_of(whole)
    assert "gpu(0) against cpu(0): 8.0 x (SentenceEncoder), 10.0 x (the tutorial's Executor)" in text
    assert "The tutorial printed 7.6 x, on a T4." in text
    assert "gpu(0): SentenceEncoder is 4.00 x the tutorial's Executor." in text
    assert "512 MiB" in text
    with simulated_gpus(1):
        paths = results.save(whole, "encode", tmp_path, text, lambda path: save_plots(whole, path))
    assert json.loads(paths[0].read_text(encoding="utf-8"))["jobs"][0]["docs_per_s"]["median"] == 10.0
    assert paths[2].read_bytes().startswith(b"\x89PNG")


def with_real_gpu(report: EncodeReport) -> EncodeReport:
    """Figures as a machine with a GPU gives them."""

    def job(device: str, way: str, rate: float) -> Job:
        return Job(device, way, 320, Spread.of([rate]), Spread.of([rate / 32]), Spread.of([1.0]))

    stages = dict.fromkeys(STAGES, 0.2)
    points = [
        BatchPoint("gpu(0)", "float16", size, Pass(64, Spread.of([100.0 * size]), 1e12, 0.5, stages), 2**29)
        for size in (1, 2, 4)
    ]
    devices = [{"device": name, "name": "made up", "driver": "1", "simulated": False} for name in ("cpu(0)", "gpu(0)")]
    return replace(
        report,
        about={**report.about, "devices": devices},
        points=[*report.points, *points],
        ended={**report.ended, "gpu(0) float16": "larger batches add nothing"},
        peaks={**report.peaks, "gpu(0) float16": 1e14},
        jobs=[
            job("cpu(0)", TUTORIAL, 10.0),
            job("cpu(0)", OWN, 50.0),
            job("gpu(0)", TUTORIAL, 100.0),
            job("gpu(0)", OWN, 400.0),
        ],
    )
