"""Command-line options made out of the records of dure.spec: Python, YAML and shell say the same.

Knows how a field's type is written in a shell; knows no field by name, no default, and not what a
setting does.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

import click
import msgspec
from msgspec import inspect

from dure.spec import BACKENDS, describe

F = TypeVar("F", bound=Callable[..., Any])


class Pair(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases of click only
    """`KEY=VALUE`, as a pair.

    Args:
        typed: Whether a value that is JSON is read as such (`8` an int, `"8"` a text); anything
            else is text as it is.
    """

    name = "key=value"

    def __init__(self, *, typed: bool) -> None:
        self.typed = typed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """Split at the first `=`."""
        if isinstance(value, tuple):
            return value  # click converts what it has converted before
        key, found, text = str(value).partition("=")
        if not found or not key:
            self.fail(f"{value!r} is not KEY=VALUE.", param, ctx)
        return key, read_json(text) if self.typed else text


class NumberOrText(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases of click only
    """A number where one is written (`0.5`, `6000000000`), else text (`6GiB`)."""

    name = "number or text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a number, or leave the text."""
        found = read_json(value) if isinstance(value, str) else value
        return found if isinstance(found, int | float) and not isinstance(found, bool) else value


def read_json(text: str) -> Any:
    """Return the value that `text` is as JSON, or `text` itself where it is none."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(word: str) -> None:
    raise ValueError(word)  # NaN and Infinity are Python's, not JSON's


def spec_options(kind: type[msgspec.Struct], *, skip: Iterable[str] = ()) -> Callable[[F], F]:
    """Return a decorator that gives a command one option for each field of a spec record.

    Args:
        kind: The record.
        skip: Fields that the command takes in another way.

    Example:
        >>> from dure.spec import GatewaySpec
        >>> @click.command()
        ... @spec_options(GatewaySpec)
        ... def up(**settings: object) -> None:
        ...     GatewaySpec(**given(GatewaySpec, settings))
    """
    fields = cast("inspect.StructType", inspect.type_info(kind)).fields
    helps, skipped = describe(kind), set(skip)
    options = [_option(field, helps[field.name]) for field in fields if field.name not in skipped]

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def backend_options(command: F) -> F:
    """Give a command the options `--backend` and `--address`: where the workers of a Flow run."""
    where = click.option(
        "--backend", type=click.Choice(BACKENDS), default=BACKENDS[0], show_default=True, help="where the workers run"
    )
    return where(address_option(command))


def address_option(command: F) -> F:
    """Give a command the option `--address`, for a Ray cluster."""
    help_text = "of the Ray cluster: auto (if not given), host:6379, or ray://host:10001"
    return click.option("--address", help=help_text)(command)


def image_option(command: F) -> F:
    """Give a command the option `--image`, for a Flow that is to run as containers."""
    option = click.option(
        "--image",
        "images",
        type=Pair(typed=False),
        multiple=True,
        metavar="NAME=IMAGE",
        help="The image that stands for an Executor, in containers.  [repeatable]",
    )
    return option(command)


def given(kind: type[msgspec.Struct], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the fields of a record that were written on the command line, as plain values."""
    found = {}
    for field in msgspec.structs.fields(kind):
        value = settings.get(field.name)
        if value is None or value == ():
            continue
        found[field.name] = value
        if isinstance(value, tuple):
            found[field.name] = dict(value) if isinstance(value[0], tuple) else list(value)
    return found


def _option(field: inspect.Field, text: str) -> Callable[[F], F]:
    kind, multiple = _shell_type(_plain(field.type))
    notes = [text]
    if field.default not in (msgspec.NODEFAULT, None, ""):
        notes.append(f"[default: {field.default}]")
    if multiple:
        notes.append("[repeatable]")
    flag = f"--{field.name.replace('_', '-')}"
    if kind is click.BOOL:
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    return click.option(
        flag,
        field.name,
        type=None if kind is click.BOOL else kind,
        multiple=multiple,
        default=None,
        help="  ".join(notes),
    )


def _plain(kind: inspect.Type) -> inspect.Type:
    """Take off the description and the `| None`."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        members = [_plain(member) for member in kind.types if not isinstance(member, inspect.NoneType)]
        return members[0] if len(members) == 1 else inspect.UnionType(tuple(members))
    return kind


def _shell_type(kind: inspect.Type) -> "tuple[click.ParamType[Any], bool]":
    """Return how one value is written, and whether there may be several."""
    match kind:
        case inspect.IntType():
            return click.IntRange(**_limits(kind)), False
        case inspect.FloatType():
            return click.FloatRange(**_limits(kind)), False
        case inspect.ListType(item_type=item):
            return _shell_type(_plain(item))[0], True
        case inspect.UnionType(types=members):
            # One value or several: a list says both. Numbers or words: whichever is written.
            several = next((member for member in members if isinstance(member, inspect.ListType)), None)
            return (NumberOrText(), False) if several is None else _shell_type(several)
        case inspect.DictType() | inspect.StructType():
            texts = isinstance(kind, inspect.DictType) and isinstance(_plain(kind.value_type), inspect.StrType)
            return Pair(typed=not texts), True
    return (click.BOOL if isinstance(kind, inspect.BoolType) else click.STRING), False


def _limits(kind: inspect.IntType | inspect.FloatType) -> dict[str, Any]:
    return {
        "min": kind.gt if kind.ge is None else kind.ge,
        "min_open": kind.gt is not None,
        "max": kind.lt if kind.le is None else kind.le,
        "max_open": kind.lt is not None,
    }
