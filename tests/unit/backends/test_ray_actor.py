"""How files are named on a node that was given a folder. Actors themselves are in tests/e2e/test_ray.py."""

from pathlib import Path

import pytest

from dure import Executor
from dure.backends.ray_actor import below


def test_what_is_in_the_folder_is_named_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src" / "bundle").mkdir(parents=True)
    (tmp_path / "src" / "encoder.py").touch()
    folder = str(tmp_path / "src")
    assert below(folder, str(tmp_path / "src" / "encoder.py")) == "encoder.py"
    assert below(folder, str(tmp_path / "src" / "encoder.py:Encoder")) == "encoder.py:Encoder"
    assert below(folder, tmp_path / "src" / "bundle") == "bundle"
    monkeypatch.chdir(tmp_path)
    assert below(folder, "src/encoder.py") == "encoder.py"


def test_all_else_is_left_as_it_is(tmp_path: Path) -> None:
    outside = str(tmp_path.parent)
    for uses in (Executor, "package.module.Class", "jtype: Encoder\n", outside, "docker://x", "missing.py"):
        assert below(str(tmp_path), uses) == uses
    assert below(None, str(tmp_path)) == str(tmp_path)
