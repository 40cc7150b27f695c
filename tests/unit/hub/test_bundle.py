import io
import os
from pathlib import Path

import pytest

from dure.errors import HubError
from dure.hub.bundle import bundle_diff_id, describe, pack_bundle, read_contents
from dure.hub.scaffold import Scaffold, write


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "Shout"
    write(
        Scaffold(name="Shout", path=folder, description="loud", keywords=("text", "두레"), url="https://hub.example/x")
    )
    return folder


def test_what_belongs_to_a_checkout_or_a_person_is_left_out(bundle: Path) -> None:
    for name in (".git", "__pycache__", "tests/__pycache__", "my-environment"):
        (bundle / name).mkdir()
        (bundle / name / "x.txt").touch()
    (bundle / "my-environment" / "pyvenv.cfg").touch()
    (bundle / ".env").write_text("TOKEN=1")
    found = read_contents(bundle)

    assert set(found.left_out) == {".env", ".git", "__pycache__", "my-environment", "tests/__pycache__"}
    assert set(found.files) == {
        *("config.yml", "executor.py", "manifest.yml", "README.md", "requirements.txt", "tests/test_executor.py")
    }


def test_links_are_followed_within_the_folder_only(bundle: Path, tmp_path: Path) -> None:
    (bundle / "again.py").symlink_to("executor.py")
    assert read_contents(bundle).files["again.py"].read_bytes() == (bundle / "executor.py").read_bytes()
    for target in ("/etc/hostname", "../secret", "tests", "nowhere"):
        (tmp_path / "secret").touch()
        (bundle / "link").symlink_to(target)
        with pytest.raises(HubError, match=f"link is a link to {target}: only links to files of the bundle"):
            read_contents(bundle)
        (bundle / "link").unlink()


def test_a_private_key_is_not_shared(bundle: Path) -> None:
    (bundle / "key.pem").write_text("-----BEGIN EC PRIVATE KEY-----\n…")
    with pytest.raises(HubError, match=r"key\.pem is a private key"):
        read_contents(bundle)


def test_a_pipe_cannot_be_shared(bundle: Path) -> None:
    os.mkfifo(bundle / "pipe")
    with pytest.raises(HubError, match="pipe is no plain file"):
        read_contents(bundle)


def test_a_folder_without_config_yml_is_no_bundle(tmp_path: Path) -> None:
    for look in (read_contents, describe):
        with pytest.raises(HubError, match=r"is no bundle: there is no config\.yml in it.*dure hub new"):
            look(tmp_path)


def test_what_a_bundle_says_of_itself(bundle: Path) -> None:
    config, packed, _ = pack_bundle(bundle, io.BytesIO())
    assert (config.name, config.description, config.url) == ("Shout", "loud", "https://hub.example/x")
    assert config.keywords == ["text", "두레"]
    assert config.config_yml == (bundle / "config.yml").read_text()
    assert config.diff_id == packed.diff_id == bundle_diff_id(bundle)
    (bundle / "executor.py").write_text("changed")
    assert bundle_diff_id(bundle) != config.diff_id


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("jtype: [", "broken YAML"),
        ("- jtype", "must be a mapping"),
        ("with: {}", "jtype names no class: None"),
        ("jtype: 3", "jtype names no class: 3"),
        ("jtype: not a class", "jtype names no class"),
        ("jtype: !!python/object:os.system x", "broken YAML"),
        ("jtype: \xff", "broken YAML"),
        ("jtype: 2001-99-99", "broken YAML"),
    ],
)
def test_a_config_that_cannot_be_meant_is_told(bundle: Path, text: str, reason: str) -> None:
    (bundle / "config.yml").write_bytes(text.encode("latin-1"))
    with pytest.raises(HubError, match=reason):
        describe(bundle)


def test_odd_values_of_metas_are_no_error(bundle: Path) -> None:
    (bundle / "manifest.yml").write_text("keywords: {a: [b]}\ndescription: [1]\nversion: 1.5\nurl: true\n")
    about = describe(bundle)
    assert (about["keywords"], about["description"], about["version"], about["url"]) == ([], "", "1.5", "")
