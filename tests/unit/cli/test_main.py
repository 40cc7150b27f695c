import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dure.cli.main import cli

COMMANDS = ("client", "devices", "executor", "flow", "hub", "plan")


def dure(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_help_lists_the_commands() -> None:
    result = dure("--help")

    assert result.exit_code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = dure(command, "--help")

    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")


def test_version() -> None:
    assert dure("--version").output == f"dure {version('dure')}\n"


def test_unknown_command_is_a_usage_error() -> None:
    result = dure("flw")

    assert result.exit_code == 2
    assert "No such command 'flw'" in result.stderr


def test_help_imports_nothing_heavy() -> None:
    look = (
        "import sys, dure.cli.main as m\n"
        "try: m.cli(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'grpc', 'rich', 'torch', 'msgspec', 'yaml', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )

    out = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)

    assert out.stdout.splitlines()[-1] == "[]"


def test_an_error_is_one_message_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DURE_LOG_LEVEL", raising=False)
    (tmp_path / "config.yml").touch()

    result = dure("hub", "new", "--name", "Mine", "--path", str(tmp_path))

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Nothing was written")
    assert str(tmp_path / "config.yml") in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


@pytest.mark.parametrize("how", ["flag", "environment"])
def test_debug_shows_the_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setenv("DURE_LOG_LEVEL", "debug" if how == "environment" else "info")
    (tmp_path / "config.yml").touch()
    flags = ("--debug",) if how == "flag" else ()

    result = dure(*flags, "hub", "new", "--name", "Mine", "--path", str(tmp_path))

    assert result.exit_code == 1
    assert "Error: Nothing was written" in result.stderr
    assert "Traceback (most recent call last)" in result.stderr
    assert "scaffold.py" in result.stderr
