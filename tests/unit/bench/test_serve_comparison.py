import json
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dure.bench.load import Samples
from dure.bench.load_point import Asked, told
from dure.bench.load_watch import Watched
from dure.bench.serve import ServeReport
from dure.bench.serve_comparison import Kept, compared, read, text_of
from dure.bench.workload import Workload
from dure.errors import DecodeError

ABOUT = {"date": "2026-01-01", "commit": "abc", "cpu": "a CPU", "cores": 2}


def samples(rate: float, latency_s: float, seed: int, duration_s: float = 20.0) -> Samples:
    rng = np.random.default_rng(seed)
    at = np.arange(0.0, duration_s, 1.0 / rate)
    done = at + rng.gamma(4.0, latency_s / 4.0, len(at))
    return Samples(at.tolist(), at.tolist(), at.tolist(), done.tolist(), ["ok"] * len(at), {})


def kept(tmp_path: Path, name: str, rate: float, latency_s: float, seed: int, **workload: float) -> Kept:
    asked = Asked("open", 100.0, 20.0)
    point = told(asked, samples(rate, latency_s, seed), Watched(0.1, 0.1, []), np.random.default_rng(0))
    work = replace(Workload("localhost:1"), **workload)  # type: ignore[arg-type]  # numbers only
    report = ServeReport(ABOUT, work, True, [point], None, None, "p99", None, [])
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(asdict(report)), encoding="utf-8")
    return read(path)


def test_a_slower_service_is_found_and_by_how_much(tmp_path: Path) -> None:
    first, second = kept(tmp_path, "a", 100.0, 0.01, 1), kept(tmp_path, "b", 100.0, 0.012, 2)
    found = {ratio.figure: ratio for ratio in compared(first, second)}
    assert list(found) == ["answered", "p50", "p99"]
    assert found["p50"].differs
    assert found["p50"].ratio.low < 1.2 < found["p50"].ratio.high
    assert found["p99"].ratio.low < 1.2 < found["p99"].ratio.high
    assert not found["answered"].differs
    text = text_of(first, second, list(found.values()))
    assert "no difference shown" in text
    assert text.count("differs") >= 1


def test_fewer_answers_are_found(tmp_path: Path) -> None:
    first, second = kept(tmp_path, "a", 100.0, 0.01, 1), kept(tmp_path, "b", 80.0, 0.01, 2)
    found = {ratio.figure: ratio for ratio in compared(first, second)}
    assert found["answered"].differs
    assert found["answered"].ratio.low <= 0.8 <= found["answered"].ratio.high
    assert not found["p50"].differs


def test_two_runs_of_the_same_differ_seldom(tmp_path: Path) -> None:
    runs = [kept(tmp_path, str(seed), 100.0, 0.01, seed) for seed in range(3)]
    pairs = [compared(one, other) for one, other in pairwise(runs)]
    differ = [ratio.differs for pair in pairs for ratio in pair]
    assert sum(differ) <= 2  # of 6


def test_different_questions_are_told(tmp_path: Path) -> None:
    first, second = kept(tmp_path, "a", 100.0, 0.01, 1), kept(tmp_path, "b", 100.0, 0.01, 2, docs_per_request=8)
    second.failures.append("INVALID: the load generator used 99% of a core")
    second.about["cores"] = 64
    text = text_of(first, second, [])
    assert "docs_per_request is 1 in A and 8 in B" in text
    assert "b.json is INVALID" in text
    assert "a CPU, 2 cores in A and a CPU, 64 cores in B" in text
    assert "no load in common" in text


@pytest.mark.parametrize("content", ["", "{}", '{"points": [{"asked": {}}]}', "[]"])
def test_other_files_are_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DecodeError, match=r"other\.json is not a file that"):
        read(path)
