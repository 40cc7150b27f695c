"""What the doctor finds on a machine as it is, and on one that a few variables make sick."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from dure.cli.doctor import doctor


@pytest.fixture(autouse=True)
def _a_plain_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DURE_HUB", "DURE_OFFLINE", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES", "DURE_SIMULATE_GPUS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DURE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "models"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///not/there.sock")
    room(monkeypatch, 50)  # tests are run on full disks, too


def room(monkeypatch: pytest.MonkeyPatch, gib: float) -> None:
    """Have every disk seem to have so much room."""
    free = int(gib * 2**30)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(total=2**40, used=2**40 - free, free=free))


def examine() -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit code, and what was found by what was looked at."""
    done = CliRunner().invoke(doctor, ["--json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert len({one["what"] for one in found}) == len(found)
    assert {one["state"] for one in found} <= {"good", "note", "bad"}
    return done.exit_code, {one["what"]: one for one in found}


def test_a_machine_that_lacks_things_is_not_ill() -> None:
    code, found = examine()
    assert code == 0
    assert found["python"]["state"] == "good"
    assert found["containers"]["state"] == "note"
    assert "no Docker Engine answers at unix:///not/there.sock" in found["containers"]["text"]
    assert found["registry"]["fix"].startswith("export DURE_HUB=")
    assert found["disk of the cache"]["state"] == "good"


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    room(monkeypatch, 4.9)
    code, found = examine()
    assert code == 1
    assert found["disk of the cache"]["state"] == "bad"
    assert found["disk of the cache"]["text"].startswith("4.9 GiB free at ")


def test_the_table_has_every_finding_and_its_fix() -> None:
    _, found = examine()
    text = CliRunner().invoke(doctor).stdout
    for one in found.values():
        assert one["text"] in text
        assert one["fix"] in text


def test_gpus_and_those_that_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_SIMULATE_GPUS", "2")
    _, found = examine()
    assert found["gpu(0)"]["state"] == found["gpu(1)"]["state"] == "good"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    _, found = examine()
    assert "hides the 2 that exist" in found["GPU"]["text"]
    assert found["GPU"]["fix"].startswith("unset CUDA_VISIBLE_DEVICES")


@pytest.mark.parametrize(
    ("variables", "what", "words"),
    [
        ({"DURE_HUB": "localhost:1/team"}, "registry", "no registry answers at localhost:1"),
        ({"DURE_HUB": "not a host"}, "registry", "is not HOST"),
        ({"DURE_OFFLINE": "1"}, "offline", "HF_HUB_OFFLINE is not"),
        ({"DURE_OFFLINE": "perhaps"}, "offline", "'perhaps' is neither 1"),
    ],
)
def test_what_is_broken(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], what: str, words: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code, found = examine()
    assert code == 1
    assert found[what]["state"] == "bad"
    assert words in found[what]["text"]


def test_what_is_here_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "models" / "models--team--some-model").mkdir(parents=True)
    tag = tmp_path / "cache" / "hub" / "refs" / "localhost_5000" / "team" / "shout" / "source"
    tag.mkdir(parents=True)
    (tag / "@1.0").write_text("sha256:0", encoding="utf-8")
    monkeypatch.setenv("DURE_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, found = examine()
    assert code == 0
    assert "team/some-model" in found["models here"]["text"]
    assert found["bundles here"]["text"] == "localhost_5000/team/shout:1.0"
    assert found["offline"]["state"] == "good"
