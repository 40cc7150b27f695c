from pathlib import Path

from click.testing import CliRunner, Result

from dure.cli.main import cli
from tests.unit.bulk.rows import parquet, texts


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ("map", *arguments))


def test_settings_of_map_and_executor_are_options() -> None:
    text = run("--help").output

    for option in (
        "--executor",
        "--on",
        "--backend",
        "--part-rows",
        "--replicas",
        "--device",
        "--uses-with",
        "--address",
    ):
        assert option in text
    for option in ("--needs", "--group", "--uses "):
        assert option not in text


def test_who_and_where_are_required(tmp_path: Path) -> None:
    missing = run("in.parquet", str(tmp_path / "out"))

    assert missing.exit_code == 2
    assert "--executor" in missing.stderr


def test_an_error_is_one_message(tmp_path: Path) -> None:
    refused = run(str(tmp_path / "in.parquet"), str(tmp_path / "out"), "--executor", "dure.Executor", "--on", "/")

    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: there is no file or folder")


def test_parameters_are_a_json_object(tmp_path: Path) -> None:
    refused = run("in", "out", "--executor", "dure.Executor", "--on", "/", "--parameters", "5")

    assert refused.exit_code == 2
    assert "not a JSON object" in refused.stderr


def test_a_column_and_no_column_contradict_each_other(tmp_path: Path) -> None:
    refused = run("in", "out", "--executor", "dure.Executor", "--on", "/", "--text", "a", "--no-text")

    assert refused.exit_code == 2
    assert "--no-text" in refused.stderr


def test_what_came_of_it_is_one_line(tmp_path: Path) -> None:
    source = parquet(tmp_path / "in.parquet", texts(0, 0))

    done = run(str(source), str(tmp_path / "out"), "--executor", "dure.Executor", "--on", "/")

    assert done.exit_code == 0
    assert done.stdout.startswith("0 rows in 0 parts: ")
