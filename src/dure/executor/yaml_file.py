"""Read YAML as plain values, with errors that name file and line, and `${{ ENV.NAME }}` filled in.

Safe loading only. Knows neither Flows nor Executors.
"""

import os
import re
from pathlib import Path
from typing import Any

from dure.errors import SpecError

_VARIABLE = re.compile(r"\$\{\{\s*ENV\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


def read_yaml(source: str | Path) -> tuple[dict[str, Any], str]:
    """Read a mapping from a file, or from YAML text (anything with a line end or a colon followed by a blank).

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
    return _filled(values, where), where


def is_yaml_text(text: str) -> bool:
    """Tell YAML given as text from the path of a file."""
    return "\n" in text or ": " in text


def _load(text: str, where: str) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise SpecError(f"{where}:{line}:{column}: broken YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise SpecError(f"{where}: broken YAML: {error}") from error


def _filled(value: Any, where: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, where) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, where) for inner in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _environment(found[1], where), value)
    return value


def _environment(name: str, where: str) -> str:
    if name not in os.environ:
        raise SpecError(f"{where}: ${{{{ ENV.{name} }}}}: the environment has no variable {name!r}")
    return os.environ[name]
