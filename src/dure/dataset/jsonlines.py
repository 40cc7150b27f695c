"""JSON lines: an object on each line. And examples written as such, so that reading gives equal ones.

Knows lines and JSON; does not know which values are the text and the label.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dure.dataset.dataset import fields_of
from dure.dataset.encoding import lines_of
from dure.dataset.example import LabelledText, TaggedText
from dure.dataset.records import Record
from dure.errors import ValidationError


def read_objects(text: str, name: str) -> list[Record]:
    """Return the objects of JSON lines, or of one JSON array, each with its line (0 in an array).

    Raises:
        ValidationError: A line that is not JSON, or not an object; names the line.
    """
    if text.lstrip()[:1] == "[":
        values = _parsed(text, f"{name}: line 1")
        return [(0, _object(value, f"{name}: object {number:,}")) for number, value in enumerate(values, 1)]
    records: list[Record] = []
    for number, line in lines_of(text):
        if line.strip():
            at = f"{name}: line {number:,}"
            records.append((number, _object(_parsed(line, at), at)))
    return records


def write_jsonl(examples: Iterable[LabelledText] | Iterable[TaggedText], path: str | os.PathLike[str]) -> None:
    """Write examples as JSON lines in UTF-8; the file appears when it is complete."""
    target = Path(path)
    fresh = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
    try:
        with fresh.open("x", encoding="utf-8", newline="\n") as file:
            for example in examples:
                file.write(f"{json.dumps(fields_of(example), ensure_ascii=False)}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


def _parsed(text: str, at: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValidationError(f"{at}: not JSON: {error}; write one object a line") from error


def _object(value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValidationError(f'{at}: {type(value).__name__}, not an object such as {{"text": "…", "label": "…"}}')
    return value
