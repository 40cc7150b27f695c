from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from dure.cli.main import cli


def new(*arguments: str, answers: str | None = None) -> Result:
    return CliRunner().invoke(cli, ("hub", "new", *arguments), input=answers)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_flags_alone_make_a_bundle_in_a_folder_of_its_name(here: Path) -> None:
    result = new("--name", "SentenceEncoder")

    assert result.exit_code == 0, result.output
    assert (here / "SentenceEncoder" / "executor.py").exists()
    assert not (here / "SentenceEncoder" / "Dockerfile").exists()
    assert "dure executor up config.yml" in result.output


def test_every_answer_is_a_flag(here: Path) -> None:
    result = new(
        *("--name", "Ner", "--path", "deep/er", "--description", "names", "--keywords", "a b, c"),
        *("--url", "https://example.org", "--dockerfile"),
    )

    assert result.exit_code == 0, result.output
    manifest = yaml.safe_load((here / "deep" / "er" / "manifest.yml").read_text())
    assert manifest == {
        "manifest_version": 1,
        "name": "Ner",
        "description": "names",
        "url": "https://example.org",
        "keywords": ["a b", "c"],
    }
    assert (here / "deep" / "er" / "Dockerfile").exists()
    assert "docker build -t ner ." in result.output


def test_without_a_terminal_nothing_is_asked(here: Path) -> None:
    result = new(answers="SentenceEncoder\n\nn\n")

    assert result.exit_code == 2
    assert "--name" in result.stderr
    assert list(here.iterdir()) == []


def test_with_flags_a_missing_name_is_named(here: Path) -> None:
    result = new("--description", "x")

    assert result.exit_code == 2
    assert "Missing option '--name'" in result.stderr


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--name", "lower"), "--name: 'lower'"),
        (("--name", "Ok", "--description", "a\nb"), "--description: "),
        (("--name", "Ok", "--url", "example"), "--url: "),
    ],
)
def test_a_wrong_answer_names_its_flag(here: Path, flags: tuple[str, ...], named: str) -> None:
    result = new(*flags)

    assert result.exit_code == 2
    assert f"Error: {named}" in result.stderr
    assert list(here.iterdir()) == []


def test_never_overwrites(here: Path) -> None:
    new("--name", "Ner")
    (here / "Ner" / "executor.py").write_text("my work")

    result = new("--name", "Ner")

    assert result.exit_code == 1
    assert str(here / "Ner" / "executor.py") in result.stderr
    assert (here / "Ner" / "executor.py").read_text() == "my work"
