from pathlib import Path

import numpy as np
import pytest

from dure.bench.load import Samples
from dure.bench.load_point import Asked, Point, told
from dure.bench.load_watch import Watched
from dure.bench.serve import ServeReport
from dure.bench.serve_plots import save_plots
from dure.bench.serve_tables import text_of
from dure.bench.workload import Workload

ABOUT = {"date": "2026-01-01", "commit": "abc", "cpu": "a CPU", "cores": 2}


def point(asked: Asked, latency_s: float, num_failed: int = 0, loop_share: float = 0.1) -> Point:
    at = np.linspace(0.0, asked.duration_s, 600, endpoint=False)
    done = at + latency_s * np.random.default_rng(0).gamma(4.0, 0.25, 600)
    outcome = ["ok"] * (600 - num_failed) + ["http_503"] * num_failed
    found = Samples(at.tolist(), at.tolist(), at.tolist(), done.tolist(), outcome, {"http_503": "HTTP 503: full"})
    return told(asked, found, Watched(loop_share, loop_share, [1e-4]), np.random.default_rng(0))


@pytest.fixture
def report() -> ServeReport:
    points = [
        point(Asked("closed", 4.0, 2.0), 0.01),
        point(Asked("open", 100.0, 6.0), 0.01),
        point(Asked("open", 300.0, 2.0), 0.5, num_failed=60, loop_share=0.97),
    ]
    failures = [f"INVALID: {one.asked}: {reason}" for one in points for reason in one.invalid]
    return ServeReport(ABOUT, Workload("http://localhost:1/x"), True, points, 290.0, 100.0, "p99", None, failures)


def test_everything_is_told(report: ServeReport) -> None:
    text = text_of(report)
    for part in (
        "shared this machine's 2 cores",
        "4 clients",
        "100 req/s",
        "300 requests/s: INVALID: the load generator used 97% of a core",
        "300 requests/s: 60 of 600 failed, http_503: HTTP 503: full",
        "10.00%",
        "Most answers with clients that wait: 290 req/s",
        "Kept up with, up to: none of the rates",
        "Knee: 100 req/s",
        "that are discarded; timeout 10 s, seed 0",
    ):
        assert part in text, part
    assert "p99.9" in text


def test_everything_is_drawn(report: ServeReport, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")
    assert save_plots(report, tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
