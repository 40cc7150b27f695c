from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dure.cli.main import cli

NOBODY = ("--port", "1")


def post(*arguments: str, given: bytes = b"") -> Result:
    return CliRunner().invoke(cli, ("client", "post", *arguments), input=given)


def test_port_is_required() -> None:
    result = post("hello")

    assert result.exit_code == 2
    assert "--port" in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON"), ("[1]", "not a JSON object"), ("8", "not a JSON object")],
)
def test_parameters_are_a_json_object(text: str, message: str) -> None:
    result = post(*NOBODY, "--parameters", text, "hello")

    assert result.exit_code == 2
    assert message in result.stderr


def test_one_source_only(tmp_path: Path) -> None:
    file = tmp_path / "texts"
    file.touch()

    for sources in (
        ("hello", "--lines", str(file)),
        ("hello", "--jsonl", str(file)),
        ("--lines", str(file), "--jsonl", str(file)),
    ):
        result = post(*NOBODY, *sources)
        assert result.exit_code == 2
        assert "either TEXTS, or --lines, or --jsonl" in result.stderr


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = post(*NOBODY, "--lines", str(tmp_path / "nowhere"))

    assert result.exit_code == 2
    assert "nowhere" in result.stderr


def test_the_input_is_never_emptied_by_the_output(tmp_path: Path) -> None:
    file = tmp_path / "docs.jsonl"
    file.write_text('{"text": "kept"}\n')

    result = post(*NOBODY, "--jsonl", str(file), "--output", str(file))

    assert result.exit_code == 2
    assert file.read_text() == '{"text": "kept"}\n'
