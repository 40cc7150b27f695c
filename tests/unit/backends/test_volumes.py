"""The words in which files of the host are given to a container."""

from pathlib import Path
from typing import Any

import pytest

from dure.backends.volumes import Volume, model_caches, parse_volumes
from dure.errors import SpecError

ROOTS_HOME = "/root"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (
            f"/home/ubuntu/.cache:{ROOTS_HOME}/.cache",
            Volume(source="/home/ubuntu/.cache", target=f"{ROOTS_HOME}/.cache"),
        ),
        ("/a:/b:ro", Volume(source="/a", target="/b", read_only=True)),
        ("/a:/b:rw", Volume(source="/a", target="/b")),
        ("/a:/b/", Volume(source="/a", target="/b")),
        ("/a:/b:create", Volume(source="/a", target="/b", create=True)),
        ("~/a:/b:ro,create", Volume(source="~/a", target="/b", read_only=True, create=True)),
        ("./data:/d", Volume(source="./data", target="/d")),
        ("some/data:/d", Volume(source="some/data", target="/d")),
        ("..:/d", Volume(source="..", target="/d")),
        ("data:/d", Volume(source="data", target="/d", named=True)),
        ("data:/d:ro", Volume(source="data", target="/d", named=True, read_only=True)),
        ("/some/models", Volume(source="/some/models", target="/models")),
        ("models", Volume(source="models", target="/models")),
        ("C:\\Users\\me:/d", Volume(source="C:\\Users\\me", target="/d")),
        ("C:\\Users\\me:/d:ro", Volume(source="C:\\Users\\me", target="/d", read_only=True)),
        ("C:/Users/me:/d", Volume(source="C:/Users/me", target="/d")),
        ("C:\\Users\\me", Volume(source="C:\\Users\\me", target="/me")),
        ("x:/d:ro", Volume(source="x", target="/d", named=True, read_only=True)),
    ],
)
def test_what_is_understood(written: str, meant: Volume) -> None:
    assert parse_volumes([written], "volumes") == (meant,)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "is not HOST:CONTAINER"),
        (":", "is not HOST:CONTAINER"),
        (":/b", "is not HOST:CONTAINER"),
        ("/a::ro", "is not HOST:CONTAINER"),
        ("/a:/b:ro:rw", "is not HOST:CONTAINER"),
        (7, "is not HOST:CONTAINER"),
        ("/a:ro", "where in the container is missing: /a:/data:ro"),
        ("/a:b", "'b' is no place in a container; it begins with /"),
        ("/a:/", "is no place in a container"),
        ("/a:/b/../..", "is no place in a container"),
        ("/a:/b:roo", r"'roo' is no mode. Did you mean 'ro'\? Modes are: ro, rw, create."),
        ("/a:/b:", "is not HOST:CONTAINER"),
        ("/a:/b:ro,rw", "either ro or rw"),
        ("data:/b:create", "a folder is ./data"),
        ("/", "say where in the container"),
    ],
)
def test_what_is_not_understood(written: Any, why: str) -> None:
    with pytest.raises(SpecError, match=why) as caught:
        parse_volumes(["/fine:/fine", written], "encoder.volumes")
    assert str(caught.value).startswith("encoder.volumes[1]: ")


def test_two_for_one_place() -> None:
    with pytest.raises(SpecError, match=r"volumes\[1\]: /d is '/a' already, not '/b:/d/'"):
        parse_volumes(["/a:/d", "/b:/d/"], "volumes")


def test_a_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    for written in ("./data:/d", "~/data:/d", f"{tmp_path}/x/../data:/d", "./data/:/d"):
        assert parse_volumes([written], "volumes")[0].bind("volumes") == f"{tmp_path}/data:/d:rw"
    assert parse_volumes(["./data:/d:ro"], "volumes")[0].bind("volumes") == f"{tmp_path}/data:/d:ro"


def test_the_engine_is_told_of_its_own_volume_by_name() -> None:
    assert parse_volumes(["data:/d:ro"], "volumes")[0].bind("volumes") == "data:/d:ro"


def test_a_path_that_is_not_there_is_made_only_if_that_was_said(tmp_path: Path) -> None:
    place = tmp_path / "not" / "there"
    with pytest.raises(SpecError, match=rf"^volumes: '{place}': there is no {place} .*{place}:/d:ro,create$"):
        parse_volumes([f"{place}:/d:ro"], "volumes")[0].bind("volumes")
    assert not place.exists()
    assert parse_volumes([f"{place}:/d:create"], "volumes")[0].bind("volumes") == f"{place}:/d:rw"
    assert place.is_dir()


def test_a_path_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SpecError, match="cannot be made"):
        parse_volumes([f"{tmp_path}/file/below:/d:create"], "volumes")[0].bind("volumes")


def test_below_root_is_below_home_for_who_is_not_root() -> None:
    of_tutorial, other = parse_volumes([f"/home/ubuntu/.cache:{ROOTS_HOME}/.cache:ro", "/a:/rooted"], "volumes")
    assert of_tutorial.below("/home/dure").target == "/home/dure/.cache"
    assert of_tutorial.below("/home/dure").read_only
    assert other.below("/home/dure") == other


def test_the_folders_of_model_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    binds = [volume.bind("cache") for volume in model_caches("/home/dure")]
    assert binds == [
        f"{tmp_path}/hf:/home/dure/.cache/huggingface:rw",
        f"{tmp_path}/.cache/torch:/home/dure/.cache/torch:rw",
    ]
