"""`dure hub push`, `pull`, `list`, `search`, `inspect` and `run` as a person types them, against a real registry."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dure import Client
from tests.registry.workplace import Site, make_bundle, make_key, registry

DURE = str(Path(sys.executable).with_name("dure"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def home(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Shout and Whisper were made and pushed, the one signed."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("Shout", "Whisper"):
        make_bundle(folder / name, name=name)
    make_key(folder)
    dure(site, folder, "push", "Shout", "--tag", "1.0", "--tag", "latest", "--sign-key", "key.pem")
    dure(site, folder, "push", "Whisper", "--name", "quiet/Whisper")
    return folder


def environment(site: Site, folder: Path) -> dict[str, str]:
    own = {"DURE_CACHE": str(folder / "cache"), "DOCKER_CONFIG": str(folder / "docker")}
    return {**os.environ, **site.environment, **own}


def dure(site: Site, folder: Path, *words: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [DURE, "hub", *words],
        cwd=folder,
        env={**environment(site, folder), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_push_prints_what_it_is_called_and_its_digest(site: Site, home: Path) -> None:
    (home / "Shout" / ".venv").mkdir(exist_ok=True)
    done = dure(site, home, "push", "Shout", "--tag", "2.0")
    assert re.fullmatch(rf"hub://{site.host}/team/Shout:2\.0\nsha256:[0-9a-f]{{64}}\n", done.stdout)
    assert "Left out: .venv" in done.stderr
    assert "Nothing is no bundle" in dure(site, home, "push", "Nothing", code=1).stderr
    assert "Make one: dure hub new" in dure(site, home, "push", "..", code=1).stderr


def test_pull_prints_the_folder_and_the_digest(site: Site, home: Path) -> None:
    folder, digest = dure(site, home, "pull", "hub://Shout:1.0", "--key", "key.pub").stdout.split()
    assert (Path(folder) / "executor.py").read_bytes() == (home / "Shout" / "executor.py").read_bytes()
    assert dure(site, home, "pull", f"Shout@{digest}").stdout.split()[0] == folder
    assert "is not signed" in dure(site, home, "pull", "quiet/Whisper", "--key", "key.pub", code=1).stderr
    assert "no digest" in dure(site, home, "pull", "Shout@sha256:12", code=1).stderr


def test_list_tells_what_there_is(site: Site, home: Path) -> None:
    rows = [line.split(maxsplit=2) for line in dure(site, home, "list").stdout.splitlines()]
    assert rows[0] == ["NAME", "KIND", "TAGS"]
    assert [row[:2] for row in rows[1:]] == [["team/shout", "bundle"]]
    everything = json.loads(dure(site, home, "list", "--registry", site.host, "--json").stdout)
    assert [one["name"] for one in everything] == ["quiet/whisper", "team/shout"]
    assert not any(tag.endswith(".sig") for one in everything for tag in one["tags"])
    [tags] = json.loads(dure(site, home, "list", "Shout", "--json").stdout)
    assert {"1.0", "latest"} <= set(tags["tags"])
    assert "Did you mean: team/shout?" in dure(site, home, "list", "Shot", code=1).stderr
    assert "DURE_HUB" in dure(site, home, "list", code=1, DURE_HUB="").stderr


def test_search_looks_into_names_descriptions_and_keywords(site: Site, home: Path) -> None:
    def found(*words: str) -> list[str]:
        answer = dure(site, home, "search", "--registry", site.host, "--json", *words).stdout
        return [one["name"] for one in json.loads(answer)]

    assert found("WHISPER") == ["quiet/whisper"]
    assert found("두레") == ["quiet/whisper", "team/shout"]
    assert found("shout", "loud") == ["team/shout"]
    assert found("nothing") == []
    assert "makes texts loud" in dure(site, home, "search", "shout").stdout


def test_inspect_shows_what_is_known_and_runs_nothing(site: Site, home: Path) -> None:
    told = dure(site, home, "inspect", "Shout:1.0", "--key", "key.pub").stdout
    assert "verified: signed by the owner of key.pub" in told
    assert "  jtype: Shout" in told
    assert "manifest_version: 1" in told
    plain = json.loads(dure(site, home, "inspect", "quiet/Whisper", "--json").stdout)
    assert plain["signature"] == "unsigned"
    assert plain["bundle"]["keywords"] == ["text", "두레"]
    assert plain["annotations"]["org.opencontainers.image.title"] == "Whisper"
    assert plain["tags"] == ["latest"]

    folder = Path(dure(site, home, "pull", "quiet/Whisper").stdout.split()[0])
    assert plain["digest"] in dure(site, home, "inspect", "quiet/Whisper", DURE_OFFLINE="1").stdout
    (folder / "executor.py").write_text("changed")
    assert "were changed there" in dure(site, home, "inspect", "quiet/Whisper").stdout


def test_what_strangers_wrote_steers_no_terminal(site: Site, home: Path) -> None:
    bundle = make_bundle(home / "Escape", name="Escape")
    (bundle / "manifest.yml").write_text('description: "\\e[2Jboo"\n')
    dure(site, home, "push", "Escape", "--name", "odd/Escape")
    for words in (("search", "boo", "--registry", f"{site.host}/odd"), ("inspect", "odd/Escape")):
        assert "\x1b" not in dure(site, home, *words).stdout


def test_run_serves_what_was_fetched(site: Site, home: Path) -> None:
    log = home / "run.log"
    command = [DURE, "hub", "run", "hub://Shout:1.0", "--key", "key.pub", "--port", "0"]
    settings = environment(site, home)
    with log.open("wb") as sink:
        served = subprocess.Popen(
            command, cwd=home, env=settings, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 100  # an environment is made
        while not (port := re.search(r"grpc://127\.0\.0\.1:(\d+)|127\.0\.0\.1:(\d+)", log.read_text())):
            assert served.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        answer = Client(port=int(port[1] or port[2]), protocol="grpc").post(on="/shout", inputs=["a"])
        assert answer.texts == ["A!"]
    finally:
        os.killpg(served.pid, signal.SIGINT)
        served.wait(20)
