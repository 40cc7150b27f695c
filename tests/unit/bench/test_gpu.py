import json
from pathlib import Path

import pytest

from dure.bench import gpu as program
from dure.device.context import gpu
from dure.device.simulated import simulated_gpus
from tests.tiny_model import write_tiny_model


def test_without_a_gpu_one_sentence_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with simulated_gpus(0):
        assert program.main(["--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "There is no GPU to measure: DURE_SIMULATE_GPUS is 0.\n"
    assert not (tmp_path / "out").exists()


def test_simulated_gpus_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    with simulated_gpus(2):
        assert program.main([]) == 1
    assert capsys.readouterr().err == "There is no GPU to measure: those present are simulated.\n"


def test_results_are_saved_whatever_was_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("transformers", reason="the extra `models` is not installed")
    pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")
    model = write_tiny_model(tmp_path / "tiny")
    monkeypatch.setattr(program, "found_gpus", lambda: [gpu(0)])  # a simulated one takes the place of a real one
    with simulated_gpus(1):
        options = ["--limit", "0", "--model", str(model), "--docs", "8", "--commit", "abc"]
        assert program.main([*options, "--out", str(tmp_path / "out")]) == 1
    kinds = {"devices": 0, "encode": 0}
    for path in (tmp_path / "out").glob("*.json"):
        figures = json.loads(path.read_text(encoding="utf-8"))
        assert figures["about"]["commit"] == "abc"
        assert [told["device"] for told in figures["about"]["devices"]] == ["gpu(0)", "cpu(0)"]
        assert all(failure.endswith("left out, the time was up.") for failure in figures["failures"])
        kinds[path.name.split("-")[3]] += len(figures["failures"])
    assert all(kinds.values())
    assert len(list((tmp_path / "out").iterdir())) == 6
    assert capsys.readouterr().out.count("FAILED: ") == sum(kinds.values())
