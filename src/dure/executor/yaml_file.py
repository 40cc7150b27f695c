"""Read YAML as plain values, with errors that name file and line, and `${{ ENV.NAME }}` filled in.

Safe loading only. Knows neither Flows nor Executors.
"""

import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from dure.errors import SpecError

_MAX_DEPTH = 100
_MAX_REPEATED = 100_000
VARIABLE = re.compile(r"\$\{\{\s*ENV\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
"""How the value of an environment variable is asked for."""


def read_yaml(source: str | Path, *, fill: bool = True) -> tuple[dict[str, Any], str]:
    """Read a mapping from a file, or from YAML text (anything with a line end or a colon followed by a blank).

    Args:
        source: The file or the text.
        fill: Whether `${{ ENV.NAME }}` becomes the variable's value, or stays as it is written.

    Returns:
        The values, and a name for messages: the file's path, or `<text>`.

    Raises:
        SpecError: No such file, broken YAML (path, line and column), not a mapping, or an unset variable.
    """
    text = str(source)
    where = "<text>"
    if not is_yaml_text(text):
        where = text
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"{where}: cannot be read: {error}") from error
    values = _load(text, where)
    if not isinstance(values, dict):
        raise SpecError(f"{where}:1: must be a mapping, such as `jtype: Flow`, not {values!r:.60}")
    return (_filled(values, where) if fill else values), where


def is_yaml_text(text: str) -> bool:
    """Tell YAML given as text from the path of a file."""
    return "\n" in text or ": " in text


def _load(text: str, where: str) -> Any:
    import yaml

    loader = _loader()
    try:
        _check_size(yaml.parse(text, Loader=loader), where)
        return yaml.load(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise SpecError(f"{where}:{line}:{column}: broken YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise SpecError(f"{where}: broken YAML: {error}") from error


@cache
def _loader() -> Any:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # one of two
        def construct_object(self, node: Any, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep)
            except (ValueError, LookupError, AttributeError) as error:  # 2001-99-99, 0x, !!bool perhaps
                what = f"{node.value!r:.60} is no {node.tag.rpartition(':')[2]}"
                raise yaml.constructor.ConstructorError(None, None, what, node.start_mark) from error

    return Loader


def _check_size(events: Iterable[Any], where: str) -> None:
    """Refuse what is nested deeply, and names for values (`&a`, `*a`) that stand for ever more of them."""
    import yaml

    sizes: dict[str, int] = {}
    repeated = 0
    layers: list[list[Any]] = [["", 0]]
    for event in events:
        at = f"{where}:{event.start_mark.line + 1}"
        if isinstance(event, yaml.CollectionStartEvent):
            layers.append([event.anchor, 1])
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = layers.pop()
            sizes[str(anchor)] = size
            layers[-1][1] += size
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in layers):
                raise SpecError(f"{at}: *{event.anchor} stands within itself")
            size = sizes.get(str(event.anchor), 1)
            layers[-1][1] += size
            repeated += size
        elif isinstance(event, yaml.ScalarEvent):
            layers[-1][1] += 1
        if len(layers) > _MAX_DEPTH:
            raise SpecError(f"{at}: lists and mappings stand in each other more than {_MAX_DEPTH} deep")
        if repeated > _MAX_REPEATED:
            raise SpecError(f"{at}: names (*name) stand for more than {_MAX_REPEATED:,} values")


def _filled(value: Any, where: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, where) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, where) for inner in value]
    if isinstance(value, str):
        return VARIABLE.sub(lambda found: _environment(found[1], where), value)
    return value


def _environment(name: str, where: str) -> str:
    if name not in os.environ:
        raise SpecError(f"{where}: ${{{{ ENV.{name} }}}}: the environment has no variable {name!r}")
    return os.environ[name]
