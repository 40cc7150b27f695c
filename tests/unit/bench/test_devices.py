"""All four problems at once, as small as they get, and what becomes of the figures."""

import json
from pathlib import Path

import pytest

from dure.bench import results
from dure.bench.device_plots import save_plots
from dure.bench.device_tables import text_of
from dure.bench.devices import DeviceEffort, DeviceReport, dtypes, measure, present
from dure.bench.session import Session
from dure.device.context import cpu, gpu
from dure.device.simulated import simulated_gpus
from tests.unit.bench.conftest import LEAST

EFFORT = DeviceEffort(each=LEAST, num_products=10, num_values=3, side=8, wake_s=0.0)


@pytest.fixture(scope="module")
def report() -> DeviceReport:
    with simulated_gpus(2):
        return measure(Session(present(), lambda _: None), EFFORT)


def test_every_device_is_in_every_problem(report: DeviceReport) -> None:
    assert report.failures == []
    assert report.devices == ["cpu(0)", "gpu(0)", "gpu(1)"]
    for found in (report.products, report.copies, report.accesses, report.traces, report.overheads):
        assert list(dict.fromkeys(one.device for one in found)) == report.devices
    assert [one.where.partition(",")[0] for one in report.overlaps[::2]] == [
        "gpu(0) and gpu(1)",
        "two threads of cpu(0)",
    ]


def test_tables_say_what_was_measured_and_that_gpus_are_simulated(report: DeviceReport) -> None:
    text = text_of(report)
    assert "gpu(0) and gpu(1): simulated in host memory; the times are the host's." in text
    assert [line[:2] for line in text.splitlines() if line[1:3] == ". "] == ["1.", "2.", "2.", "3.", "4.", "5."]
    assert "100% of best" in text
    assert "faster than cpu(0)" not in text  # nothing is said of the speed of a device that is none


def test_a_report_becomes_three_files(report: DeviceReport, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")
    with simulated_gpus(2):
        paths = results.save(report, "devices", tmp_path, "the tables", lambda path: save_plots(report, path))
    figures, tables, plots = paths
    assert json.loads(figures.read_text(encoding="utf-8"))["products"][0]["side"] == 16
    assert tables.read_text(encoding="utf-8") == "the tables\n"
    assert plots.read_bytes().startswith(b"\x89PNG")
    assert {path.stem for path in paths} == {figures.stem}


def test_without_pytorch_numpy_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_ARRAY_LIBRARY", "numpy")
    with simulated_gpus(1):
        found = measure(Session([cpu(), gpu(0)], lambda _: None), EFFORT)
        assert dtypes(gpu(0)) == ["float32"]
    assert found.about["array_library"] == "numpy"
    assert found.about["torch"] == {}
    assert "numpy" in text_of(found)
