"""The commands of the page about the hub, typed one after another, against a real registry."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.sources import ROOT
from tests.house.test_pages import BLOCK
from tests.registry.workplace import Site, registry

PAGES = ("docs/hub.md", "docs/ko/hub.md")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def commands(page: str) -> str:
    blocks = BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))
    return "\n".join(block["code"] for block in blocks if block["kind"] == "bash" and block["order"] is None)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_the_page(site: Site, tmp_path: Path, page: str) -> None:
    script = commands(page).replace("registry.example", site.host)
    assert script.count("dure hub") > 10
    shutil.copy(site.folder / "ca.crt", tmp_path)
    account = {name: value for name, value in site.environment.items() if name.endswith(("USER", "PASSWORD"))}
    own = {"DURE_CACHE": str(tmp_path / "cache"), "DOCKER_CONFIG": str(tmp_path / "docker")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, **account, **own, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"hub://{site.host}/team/Shout:1.0" in done.stdout
    assert "verified: signed by the owner of key.pub" in done.stdout
    assert list((tmp_path / "to-carry").rglob("config.yml"))


def test_both_languages_show_the_same_commands() -> None:
    english, korean = (commands(page).splitlines() for page in PAGES)
    assert [line.partition("#")[0] for line in english] == [line.partition("#")[0] for line in korean]
