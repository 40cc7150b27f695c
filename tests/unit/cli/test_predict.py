from pathlib import Path

import pytest
from click.testing import CliRunner

from dure.cli.main import cli


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_HOME", str(tmp_path / "home"))


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    found = CliRunner().invoke(cli, ["predict", "nobody", "text"])
    assert found.exit_code == 1
    assert "nobody: there is no such model" in found.output
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\na\tx\n", encoding="utf-8")
    assert "nobody: there is no such model" in CliRunner().invoke(cli, ["evaluate", "nobody", str(path)]).output


def test_texts_come_from_one_place(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("a\n", encoding="utf-8")
    found = CliRunner().invoke(cli, ["predict", "m", "text", "--file", str(path)])
    assert found.exit_code == 2
    assert "either TEXTS or --file" in found.output
