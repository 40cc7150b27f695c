"""`dure keys`."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dure.cli.main import cli
from dure.gateway.keys import KeyRing, Scope, read


def keys(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ("keys", *arguments))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "keys.json")


def test_a_key_is_shown_once(path: str) -> None:
    made = keys("add", "--file", path, "--name", "shop", "--max-rows-per-s", "50", "--expires-days", "2")
    assert made.exit_code == 0, made.output
    key = made.stdout.strip()
    found = KeyRing(Path(path)).find(key.encode())
    assert (found.name, found.scopes, found.limits.max_rows_per_s) == ("shop", [Scope.INFER], 50)
    listed = keys("list", "--file", path).stdout
    assert key.split("_")[1] in listed
    assert key.split("_", 2)[2] not in listed
    assert "good     shop  infer until 2" in listed
    assert "max_rows_per_s=50" in listed


def test_a_key_is_revoked(path: str) -> None:
    keys("add", "--file", path, "--name", "shop", "--scope", "admin", "--scope", "metrics")
    assert read(Path(path))[0].scopes == [Scope.ADMIN, Scope.METRICS]
    assert "is revoked" in keys("revoke", "--file", path, "shop").stdout
    assert "revoked  shop" in keys("list", "--file", path).stdout
    again = keys("revoke", "--file", path, "shop")
    assert again.exit_code == 1
    assert "no key 'shop'" in again.output


@pytest.mark.parametrize("wrong", [("--scope", "root"), ("--weight", "0"), ("--max-rows-per-s", "0")])
def test_what_cannot_be_meant_is_refused(path: str, wrong: tuple[str, str]) -> None:
    assert keys("add", "--file", path, "--name", "shop", *wrong).exit_code == 2
    assert not Path(path).exists()


def test_to_serve_everybody_must_be_said() -> None:
    refused = CliRunner().invoke(cli, ("executor", "up", "dure.executor.base.Executor", "--host", "0.0.0.0"))
    assert refused.exit_code == 1
    assert "dure keys add" in refused.output
    assert "--insecure" in refused.output
