"""A data set as it was read: its rows, what was found wrong with them, and a digest that names the data.

The digest is of what the rows say, in their order, whatever file they came from. Knows no file formats.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from dure.dataset.example import LabelledText, TaggedText
from dure.dataset.problems import Problem

Task = Literal["tc", "ner"]
"""`tc`: classify texts. `ner`: find named entities in them."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows that can be used, and what its owner should know of the others.

    Args:
        task: What the rows are for: `LabelledText` for `tc`, `TaggedText` for `ner`.
        examples: The rows, in the order of their source.
        problems: What was repaired, left out, or looks wrong.
        digest: `sha256:` and the hexadecimal digest of the rows as canonical JSON lines.
    """

    task: Task
    examples: tuple[LabelledText, ...] | tuple[TaggedText, ...]
    problems: tuple[Problem, ...]
    digest: str


def fields_of(example: LabelledText | TaggedText) -> dict[str, Any]:
    """Return an example as plain values: what a line of JSON lines holds."""
    fields: dict[str, Any] = {"text": example.text}
    if isinstance(example, LabelledText):
        fields["label"] = example.label
    else:
        fields["entities"] = [{"start": span.start, "end": span.end, "type": span.type} for span in example.entities]
    if example.id:
        fields["id"] = example.id
    return fields


def digest_of(examples: Iterable[LabelledText] | Iterable[TaggedText]) -> str:
    """Return the digest of rows in their order: `sha256:…` over JSON lines with sorted keys and no blanks."""
    total = hashlib.sha256()
    for example in examples:
        line = json.dumps(fields_of(example), ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        total.update(f"{line}\n".encode())
    return f"sha256:{total.hexdigest()}"
