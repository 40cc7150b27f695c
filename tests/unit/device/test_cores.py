"""How many cores may be used, on machines told of by a folder."""

import os
from pathlib import Path

import pytest

from dure.device.cores import usable_cores


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def groups(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="ascii")
    return folder


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000\n", 8),
        ("400000 100000\n", 4),
        ("250000 100000\n", 2),
        ("100000 50000\n", 2),
        ("50000 100000\n", 1),
        ("6400000 100000\n", 8),
    ],
)
def test_the_quota_of_a_container_is_rounded_down_to_whole_cores(tmp_path: Path, quota: str, cores: int) -> None:
    assert usable_cores(groups(tmp_path, cpu_dot_max=quota)) == cores


@pytest.mark.parametrize(("quota", "cores"), [("300000\n", 3), ("-1\n", 8), ("20000\n", 1)])
def test_the_older_kind_of_groups(tmp_path: Path, quota: str, cores: int) -> None:
    folder = groups(tmp_path, cpu__cpu_dot_cfs_quota_us=quota, cpu__cpu_dot_cfs_period_us="100000\n")
    assert usable_cores(folder) == cores


@pytest.mark.parametrize("text", ["", "max\n", "a b\n", "100000 0\n", "-5 100000\n"])
def test_what_says_nothing_forbids_nothing(tmp_path: Path, text: str) -> None:
    assert usable_cores(groups(tmp_path, cpu_dot_max=text)) == 8


def test_no_groups_at_all(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "nowhere") == 8


def test_affinity_counts_where_it_is_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert usable_cores(groups(tmp_path, cpu_dot_max="400000 100000\n")) == 2


def test_a_system_without_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores(tmp_path) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path) == 1
