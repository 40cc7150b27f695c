import json
from typing import Annotated, Any

import click
import msgspec
import pytest
from click.testing import CliRunner, Result
from msgspec import Meta, Struct

from dure.cli.options import given, read_json, spec_options
from dure.spec import BatchSpec, ExecutorSpec, GatewaySpec, build, describe


class Shelf(Struct, kw_only=True):
    num_books: Annotated[int, Meta(ge=1, le=9, description="how many")] = 3
    height_m: Annotated[float, Meta(gt=0)] | None = None
    open: bool = False
    label: Annotated[str, Meta(description="what it says")] = ""
    places: list[str] = []
    tags: dict[str, str] = {}
    values: dict[str, Any] = {}
    batching: BatchSpec | None = None


@click.command()
@spec_options(Shelf, skip=("label",))
def shelf(**settings: Any) -> None:
    click.echo(json.dumps(given(Shelf, settings)))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(shelf, arguments)


def read(*arguments: str) -> Any:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_only_what_was_written_is_given() -> None:
    assert read() == {}


def test_every_kind_of_field() -> None:
    settings = read(
        *("--num-books", "4", "--height-m", "1.5", "--open"),
        *("--places", "hall", "--places", "kitchen"),
        *("--tags", "a=1", "--tags", "b=x=y", "--tags", "c="),
        *("--values", "n=8", "--values", "t=cuda:1", "--values", 'quoted="8"'),
        *("--batching", "max_batch_size=32"),
    )

    assert settings == {
        "num_books": 4,
        "height_m": 1.5,
        "open": True,
        "places": ["hall", "kitchen"],
        "tags": {"a": "1", "b": "x=y", "c": ""},
        "values": {"n": 8, "t": "cuda:1", "quoted": "8"},
        "batching": {"max_batch_size": 32},
    }
    assert build(Shelf, settings, "shelf").batching == BatchSpec(max_batch_size=32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--num-books", "0"), "1<=x<=9"),
        (("--num-books", "10"), "1<=x<=9"),
        (("--num-books", "many"), "'many' is not a valid integer"),
        (("--height-m", "0"), "x>0"),
        (("--values", "alone"), "'alone' is not KEY=VALUE"),
        (("--values", "=1"), "'=1' is not KEY=VALUE"),
        (("--label", "x"), "No such option"),
    ],
)
def test_a_wrong_value_is_a_usage_error(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert message in result.stderr


def test_help_comes_from_the_record() -> None:
    text = run("--help").output

    assert "how many" in text
    assert "[default: 3]" in text
    assert "1<=x<=9" in text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ('{"a": [1]}', {"a": [1]}),
        ('"8"', "8"),
        ("007", "007"),
        ("True", "True"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("cuda:1", "cuda:1"),
        ("", ""),
        ("글", "글"),
    ],
)
def test_values_are_json_where_they_can_be(text: str, value: object) -> None:
    found = read_json(text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("kind", [ExecutorSpec, GatewaySpec])
def test_every_setting_of_the_service_is_an_option_with_help(kind: type[Struct]) -> None:
    @click.command()
    @spec_options(kind)
    def command(**_settings: Any) -> None: ...

    options = {parameter.name: parameter for parameter in command.params}

    for field in msgspec.structs.fields(kind):
        option = options[field.name]
        assert isinstance(option, click.Option)
        assert option.opts == [f"--{field.name.replace('_', '-')}"]
        assert describe(kind)[field.name] in (option.help or "")
        assert option.help
