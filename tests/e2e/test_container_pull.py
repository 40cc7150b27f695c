"""Flows whose images come from a registry: pulled when they are missing, by whom, and only if they are signed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dure import Flow
from dure.errors import BackendError, HubError
from dure.hub.image_transfer import push_image
from dure.hub.reference import parse_reference
from tests.containers.workplace import build_base, build_bundle, engine, forget
from tests.registry.workplace import Site, make_key, registry, settle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

IMAGE = "hub+docker://Worker/gpu"


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with engine() as client:
        folder = tmp_path_factory.mktemp("pulled")
        build_bundle(client, folder, build_base(client, folder))
        yield client


@pytest.fixture(scope="module")
def site(docker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def name(site: Site, docker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The image in the registry, and not on this machine; the user of the registry is at home."""
    settle(site, tmp_path, monkeypatch)
    push_image("dure-test/worker", parse_reference(IMAGE))
    name = f"{site.host}/team/worker:gpu"
    forget(docker, site.host)
    yield name
    forget(docker, site.host)


def answers(uses: str) -> bool:
    with Flow().add(uses=uses, name="pulled", timeout_ready_s=60) as flow:
        return bool(flow.post("/echo", "x").texts == ["x"])


def test_what_is_missing_is_pulled_and_what_is_there_is_not(
    name: str, site: Site, docker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert answers(f"docker://{name}")
    assert f"pulling the image {name}" in caplog.text
    assert docker.images.get(name)
    before = site.log()
    caplog.clear()
    assert answers("hub+docker://Worker/gpu")
    assert "pulling" not in caplog.text
    assert site.log() == before, "the registry was asked"


def test_a_reference_of_the_tutorials_time(name: str, docker: Any) -> None:
    assert answers("jinahub+docker://Worker/gpu")
    assert docker.images.get(name)


@pytest.mark.parametrize(
    ("tag", "environment", "why"),
    [
        ("absent", {}, r"could not be pulled: .*(manifest unknown|not found).*is the name right, and the tag"),
        ("gpu", {"DURE_HUB_PASSWORD": "wrong"}, r"could not be pulled: .*docker login localhost"),
        ("gpu", {"DURE_HUB": "localhost:1/team"}, r"could not be pulled: .*localhost:1 does not answer the engine"),
        ("gpu", {"DURE_OFFLINE": "1"}, "DURE_OFFLINE says to fetch nothing"),
    ],
)
def test_what_cannot_be_pulled(
    name: str, monkeypatch: pytest.MonkeyPatch, tag: str, environment: dict[str, str], why: str
) -> None:
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(BackendError, match=why):
        answers(f"hub+docker://Worker/{tag}")


def test_a_key_lets_in_what_it_signed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, public = make_key(tmp_path)
    monkeypatch.setenv("DURE_HUB_KEY", str(public))
    with pytest.raises(HubError, match="sign"):
        answers(IMAGE)
    push_image("dure-test/worker", parse_reference(IMAGE), sign_key=key)
    assert answers(IMAGE)
