"""What a build is sent."""

import os
import tarfile
from pathlib import Path

import pytest

from dure.errors import HubError
from dure.hub.context import kept, pack

pytest.importorskip("docker", reason="the extra `docker` is not installed")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    for name in ("config.yml", "executor.py", "tests/test_executor.py", ".env", "deep/__pycache__/x.pyc", "deep/x.py"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    return folder


def packed(folder: Path, beside: dict[str, Path | str]) -> dict[str, tuple[int, bytes]]:
    with pack(folder, beside) as archive, tarfile.open(fileobj=archive) as tar:
        members = tar.getmembers()
        assert {(one.uid, one.gid, one.uname) for one in members} == {(0, 0, "")}
        return {one.name: (one.mode, (tar.extractfile(one) or open(os.devnull, "rb")).read()) for one in members}


def test_what_is_ignored_stays_at_home(bundle: Path) -> None:
    assert list(kept(bundle)) == ["config.yml", "deep/x.py", "executor.py"]
    (bundle / ".dockerignore").write_text("# mine\n*.py\nmodels\n", encoding="utf-8")
    left = {".dockerignore", ".env", "config.yml", "deep/x.py", "tests/test_executor.py", "deep/__pycache__/x.pyc"}
    assert set(kept(bundle)) == left
    found = packed(bundle, {"models/m/config.json": "{}"})
    assert found["models/m/config.json"][1] == b"{}"
    assert found[".dockerignore"][1] == b"", "the engine is not to leave out what was put there"


def test_other_files_come_beside_and_over(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"1234")
    (tmp_path / "weights").chmod(0o600)
    found = packed(bundle, {"config.yml": "mine", "models/m/model.safetensors": tmp_path / "weights"})
    assert found["config.yml"] == (0o644, b"mine")
    assert found["models/m/model.safetensors"] == (0o644, b"1234"), "readable by whoever runs it"
    assert found["executor.py"] == (0o644, b"executor.py")


def test_two_names_of_one_file_are_two_files(bundle: Path) -> None:
    os.link(bundle / "executor.py", bundle / "same.py")
    (bundle / "link.py").symlink_to("executor.py")
    found = packed(bundle, {})
    assert {found[name][1] for name in ("executor.py", "same.py", "link.py")} == {b"executor.py"}


@pytest.mark.parametrize(("target", "told"), [("/etc/passwd", "leaves the folder"), ("nowhere", "a link to no file")])
def test_links_that_lead_away(bundle: Path, target: str, told: str) -> None:
    (bundle / "link").symlink_to(target)
    with pytest.raises(HubError, match=told):
        pack(bundle, {})


def test_a_file_that_is_gone(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="gone: cannot be read: No such file"):
        pack(bundle, {"x": tmp_path / "gone"})
