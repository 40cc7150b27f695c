"""Images to and from a real registry through a real engine, signed and pulled by the digest that was signed."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dure.errors import BackendError, HubError
from dure.hub.catalog import list_tags, search
from dure.hub.image_transfer import pull_image, push_image
from dure.hub.inspection import inspect
from dure.hub.reference import parse_reference
from tests.containers.workplace import engine, forget
from tests.registry.workplace import Site, make_key, registry, settle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

LOCAL = "dure-test/tiny:here"


@pytest.fixture(scope="module")
def docker() -> Iterator[Any]:
    with engine() as client:
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("hello"))
        labels = 'LABEL org.opencontainers.image.description="a tiny image"'
        client.api.import_image_from_data(tar.getvalue(), *LOCAL.split(":"), changes=[labels])
        yield client
        client.images.remove(LOCAL)


@pytest.fixture(scope="module")
def site(docker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running
    forget(docker, f"{running.host}/")


@pytest.fixture
def at_home(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settle(site, tmp_path, monkeypatch)
    for name in ("key", "other"):
        make_key(tmp_path, name)
    return tmp_path


def test_an_image_is_pushed_signed_and_pulled_by_what_was_signed(docker: Any, at_home: Path) -> None:
    tiny = parse_reference("hub+docker://TinyImage/gpu")
    lines: list[str] = []
    digest = push_image(LOCAL, tiny, sign_key=at_home / "key.pem", say=lines.append)
    assert any("Pushed" in line for line in lines)
    docker.images.get(tiny.image_name())  # under the name that it was pushed by
    docker.images.remove(tiny.image_name())
    assert not docker.images.list(tiny.image_name())

    with pytest.raises(HubError, match="none of its 1 signature"):
        pull_image(tiny, key=at_home / "other.pub")
    assert not docker.images.list(tiny.image_name())
    assert pull_image(tiny, key=at_home / "key.pub") == (tiny.image_name(), digest)
    assert docker.images.list(tiny.image_name())
    pinned = parse_reference(f"hub+docker://TinyImage@{digest}")
    assert pull_image(pinned) == (pinned.image_name(), digest)


def test_what_is_said_of_an_image_is_found(site: Site, at_home: Path) -> None:
    digest = push_image(LOCAL, parse_reference("hub+docker://SaidImage/cpu"))
    found = inspect(parse_reference("hub+docker://SaidImage/cpu"))
    assert (found.kind, found.digest, found.signature, found.tags) == ("image", digest, "unsigned", ["cpu"])
    assert found.annotations["org.opencontainers.image.description"] == "a tiny image"
    assert [(one.name, one.kind) for one in search(site.host, "tiny said")] == [("team/said-image", "image")]
    assert [(one.kind, one.tags) for one in list_tags(parse_reference("hub://SaidImage"))] == [("image", ["cpu"])]


def test_what_the_engine_cannot_do_is_told(at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HubError, match=r"there is no image 'dure-test/absent' on this machine"):
        push_image("dure-test/absent", parse_reference("hub+docker://AbsentImage"))
    with pytest.raises(HubError, match="has no image 'team/absent-image'"):
        pull_image(parse_reference("hub+docker://AbsentImage"))
    monkeypatch.setenv("DURE_HUB_PASSWORD", "guess")
    with pytest.raises(HubError, match=r"cannot be pushed: .*unauthorized"):
        push_image(LOCAL, parse_reference("hub+docker://ShutImage"))
    with pytest.raises(HubError, match="refuses the user"):
        pull_image(parse_reference("hub+docker://ShutImage"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{at_home}/none.sock")
    with pytest.raises(BackendError, match=r"no Docker Engine answers at unix://.*start it"):
        push_image(LOCAL, parse_reference("hub+docker://ShutImage"))
