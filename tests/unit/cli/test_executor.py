from click.testing import CliRunner

from dure.cli.main import cli


def test_settings_of_executor_and_gateway_are_options() -> None:
    text = CliRunner().invoke(cli, ("executor", "up", "--help")).output

    for option in ("--uses-with KEY=VALUE", "--device", "--replicas", "--env", "--host", "--port"):
        assert option in text
    assert "--needs" not in text


def test_what_to_serve_is_required() -> None:
    result = CliRunner().invoke(cli, ("executor", "up"))

    assert result.exit_code == 2
    assert "USES" in result.stderr


def test_no_replicas_is_a_usage_error() -> None:
    result = CliRunner().invoke(cli, ("executor", "up", "config.yml", "--replicas", "0"))

    assert result.exit_code == 2
    assert "--replicas" in result.stderr
