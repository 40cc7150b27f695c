"""Flows of what a registry holds: sources in environments of their own, images, and the command that serves them."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dure import Flow
from dure.errors import HubError, SpecError
from dure.hub.publication import publish
from dure.hub.reference import parse_reference
from dure.hub.retrieval import fetch
from tests.registry.workplace import Site, make_bundle, make_key, registry, settle

CODE = """
import importlib.metadata, os, sys
from dure import Executor, requests


class {name}(Executor):
    @requests(on='/which')
    def which(self, docs, **kwargs):
        docs[0].text = importlib.metadata.version('six')
        docs[0].tags = {{'python': sys.prefix, 'path': os.environ.get('PYTHONPATH', '')}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A registry, what a user of it has set, and one cache for all tests: environments take a while to make."""
    with registry(tmp_path_factory.mktemp("registry")) as running, pytest.MonkeyPatch.context() as patch:
        settle(running, tmp_path_factory.mktemp("home"), patch)
        yield running


def push(folder: Path, name: str, requirements: str) -> None:
    bundle = make_bundle(folder / name, name=name)
    (bundle / "executor.py").write_text(CODE.format(name=name), encoding="utf-8")
    (bundle / "requirements.txt").write_text(requirements, encoding="utf-8")
    publish(bundle, parse_reference(f"hub://{name}:1.0"))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_executors_may_need_different_versions(site: Site, tmp_path: Path) -> None:
    for name, version in (("Older", "1.15.0"), ("Newer", "1.16.0")):
        push(tmp_path, name, f"six=={version}\n")
    chain = Flow().add(uses="hub://Older:1.0", uses_requests={"/older": "which"})
    with chain.add(uses="jinahub://Newer/1.0", uses_requests={"/newer": "which"}) as flow:
        older, newer = (flow.post(on, "?")[0] for on in ("/older", "/newer"))
    assert (older.text, newer.text) == ("1.15.0", "1.16.0")
    assert len({older.tags["python"], newer.tags["python"], sys.prefix}) == 3
    assert older.tags["path"] == newer.tags["path"] == "", "the starting process reaches into it"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_cannot_be_installed_is_told_in_pips_words(site: Site, tmp_path: Path) -> None:
    push(tmp_path, "Needy", "no-such-package-as-this==1.0\n")
    with pytest.raises(
        HubError, match=r"hub://.*Needy:1.0: what it requires could not be installed; pip said"
    ) as caught:
        Flow().add(uses="hub://Needy:1.0").start()
    assert "no-such-package-as-this" in str(caught.value)
    cache = Path(os.environ["DURE_CACHE"]) / "environments"
    assert [path for path in cache.iterdir() if path.is_dir() and not (path / "ready").exists()] == [], "left half made"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nobody_is_asked_for_what_is_here(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push(tmp_path, "Kept", "six==1.16.0\n")
    monkeypatch.setenv("DURE_OFFLINE", "1")
    with pytest.raises(HubError, match="is not in the cache"):
        Flow().add(uses="hub://Kept:1.0").start()
    monkeypatch.delenv("DURE_OFFLINE")
    with Flow().add(uses="hub://Kept:1.0") as flow:
        assert flow.post("/which", "?").texts == ["1.16.0"]
    monkeypatch.setenv("DURE_OFFLINE", "1")
    before = len(site.log())
    with Flow().add(uses="hub://Kept:1.0") as flow:
        assert flow.post("/which", "?").texts == ["1.16.0"]
    assert len(site.log()) == before, "the registry was asked"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"uses": "hub://no name"}, "is no Executor's name"),
        ({"uses": "hub://Shout", "group": "g"}, r"shout.group: means nothing with uses='hub://Shout'"),
        ({"uses": "hub://Shout", "py_modules": "x.py"}, r"shout.py_modules: means nothing"),
        ({"uses": "hub://Shout", "volumes": "/data"}, r"shout.volumes: means nothing"),
        ({"uses": "jinahub://Shout:secret"}, "NAME:SECRET was for Jina's own hub"),
    ],
)
def test_what_cannot_be_meant_is_told_when_it_is_said(settings: dict[str, str], why: str) -> None:
    with pytest.raises(SpecError, match=why):
        Flow().add(name="shout", **settings)


def test_without_a_registry_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DURE_HUB", raising=False)
    monkeypatch.setenv("DURE_CACHE", str(tmp_path))
    with pytest.raises(HubError, match="no registry is named"):
        Flow().add(uses="hub://Shout").start()


def test_who_has_not_signed_is_not_run(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, public = make_key(tmp_path)
    push(tmp_path, "Unsigned", "")
    fetch("hub://Unsigned:1.0")
    monkeypatch.setenv("DURE_HUB_KEY", str(public))
    with pytest.raises(HubError, match="sign"):
        Flow().add(uses="hub://Unsigned:1.0").start()
