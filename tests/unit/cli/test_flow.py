from pathlib import Path

from click.testing import CliRunner

from dure.cli.main import cli


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ("flow", "up", str(tmp_path / "flow.yml")))

    assert result.exit_code == 2
    assert "flow.yml" in result.stderr


def test_the_gateway_s_settings_are_options() -> None:
    text = CliRunner().invoke(cli, ("flow", "up", "--help")).output

    for option in ("--host", "--port", "--protocol", "--max-request-bytes"):
        assert option in text
