import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dure.cli.main import cli


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["bench", *arguments])


@pytest.mark.parametrize("command", ["devices", "encode"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_measured(command: str, tmp_path: Path) -> None:
    result = bench(command, "--device", "cpu", "--device", "gpu:97", "--no-plots", "--out", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "gpu(97) is not on this machine. Present: cpu(0)" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["devices", "encode"])
def test_without_matplotlib_the_extra_is_named(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = bench(command, "--device", "cpu", "--quick")
    assert result.exit_code == 1
    assert "pip install 'dure[bench]'" in result.stderr
    assert "--no-plots" in result.stderr
