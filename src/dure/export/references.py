"""Values that are named and not said: `${{ ENV.NAME }}` in the settings of a Flow that is exported.

An export holds the name only; the value is filled in where the Flow runs.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from dure.errors import SpecError
from dure.executor.yaml_file import VARIABLE


class Reference(NamedTuple):
    """An environment variable whose value stands in for it."""

    name: str


def parts_of(text: str) -> list[str | Reference]:
    """Take a text apart: what is said, and what is named."""
    words = VARIABLE.split(text)
    parts: list[str | Reference] = [Reference(word) if i % 2 else word for i, word in enumerate(words)]
    return [part for part in parts if part]


def names_in(value: Any) -> list[str]:
    """Return the variables that are named anywhere in plain values, each once, in order."""
    return list(dict.fromkeys(name for text in _texts(value) for name in VARIABLE.findall(text)))


def refuse_references(spec: msgspec.Struct, path: str, *, but: tuple[str, ...]) -> None:
    """Refuse them in settings that have to be known when the export is written.

    Args:
        spec: A record of settings.
        path: Where it stands, for messages.
        but: Fields in which they may stand.

    Raises:
        SpecError: A field that names a variable.
    """
    for field in msgspec.structs.fields(type(spec)):
        names = [] if field.name in but else names_in(getattr(spec, field.name))
        if names:
            raise SpecError(
                f"{path}.{field.name}: ${{{{ ENV.{names[0]} }}}} has no value yet when this is written; say the value"
                f" itself. Variables may be named in: {', '.join(but)}"
            )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, msgspec.Struct):
        yield from _texts(msgspec.structs.asdict(value))
