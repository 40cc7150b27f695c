"""Rows as a format gives them, checked: what may be used, what is left out, and what is refused.

The same checks whatever the format: labels that are missing are refused, blank texts left out, and all else is told.
Problems never hold a text: it may be personal. Knows no files.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dure.dataset.example import LabelledText, TaggedText
from dure.dataset.problems import Problem, told
from dure.errors import ValidationError


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was found: its label may be missing (None), or of a type that is no text."""

    text: Any
    label: Any
    id: Any = ""
    line: int = 0


def labelled(rows: Iterable[Row], name: str) -> tuple[list[LabelledText], list[Problem]]:
    """Return rows as labelled texts, and what was wrong with them.

    Args:
        rows: The rows.
        name: What their source is called in errors.

    Raises:
        ValidationError: No row can be used, a text or label that is none, or labels that are missing; names the lines.
    """
    examples: list[LabelledText] = []
    blank: list[int] = []
    padded: list[int] = []
    missing: list[int] = []
    kinds: dict[str, int] = {}
    for row in rows:
        if not _text(row, name).strip():
            blank.append(row.line)
            continue
        label = _label(row, name)
        if not label.strip():
            missing.append(row.line)
            continue
        kinds.setdefault(type(row.label).__name__, row.line)
        if label != label.strip():
            padded.append(row.line)
        examples.append(LabelledText(row.text, label.strip(), _id(row), row.line))
    if missing:
        raise ValidationError(f"{name}: no label in {told(missing)}; give one to each of these rows, or take them out")
    problems = _blank(blank)
    if padded:
        problems.append(Problem(f"{told(padded)}: white space round the label", "taken off"))
    if len(kinds) > 1:
        problems.append(Problem(f"labels are of several types ({', '.join(sorted(kinds))})", "all read as text"))
    examples, same = _numbers(examples)
    _refuse_none(examples, name, blank)
    return examples, problems + same + _duplicate_ids(examples) + _seen_once(examples)


def tagged(examples: Iterable[TaggedText], name: str) -> tuple[list[TaggedText], list[Problem]]:
    """Return sentences that can be used, and what was wrong with them.

    Raises:
        ValidationError: No sentence can be used.
    """
    found = list(examples)
    blank = [example.line for example in found if not example.text.strip()]
    kept = [example for example in found if example.text.strip()]
    _refuse_none(kept, name, blank)
    return kept, _blank(blank) + _duplicate_ids(kept)


def check_trainable(examples: Sequence[LabelledText] | Sequence[TaggedText]) -> None:
    """Do nothing if a model can learn something from these rows.

    Raises:
        ValidationError: No rows, rows of one class only, or sentences without a single entity.
    """
    if not examples:
        raise ValidationError("the data set is empty: there is nothing to train on")
    labels = {example.label for example in examples if isinstance(example, LabelledText)}
    if len(labels) == 1:
        raise ValidationError(
            f"all {len(examples):,} rows have the label {labels.pop()!r}: a classifier needs rows of two labels or more"
        )
    if not labels and not any(example.entities for example in examples if isinstance(example, TaggedText)):
        raise ValidationError(f"none of the {len(examples):,} sentences has an entity: there is nothing to learn")


def _text(row: Row, name: str) -> str:
    if row.text is None:
        return ""
    if not isinstance(row.text, str):
        raise ValidationError(f"{name}: line {row.line:,}: the text is of type {type(row.text).__name__}, not a string")
    return row.text


def _label(row: Row, name: str) -> str:
    """Return a label as text: 1, 1.0 and "1" are one label, null and NaN are none."""
    label = row.label
    if label is None or label != label:
        return ""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    if isinstance(label, str | int | float):
        return str(label)
    raise ValidationError(
        f"{name}: line {row.line:,}: the label is of type {type(label).__name__}; one label for each text, as text"
    )


def _id(row: Row) -> str:
    return "" if row.id is None else str(row.id)


def _blank(lines: Sequence[int]) -> list[Problem]:
    return [Problem(f"{told(lines)}: no text", "left out")] if lines else []


def _numbers(examples: list[LabelledText]) -> tuple[list[LabelledText], list[Problem]]:
    """Make `1.0` a `1` where both are labels: a spreadsheet wrote them."""
    labels = {example.label for example in examples}
    whole = {label: label.partition(".")[0] for label in labels if label.partition(".")[2].strip("0") == ""}
    same = {label: short for label, short in whole.items() if label != short and short in labels and short.isdecimal()}
    if not same:
        return examples, []
    pairs = ", ".join(f"{label!r} and {short!r}" for label, short in sorted(same.items()))
    examples = [replace(example, label=same.get(example.label, example.label)) for example in examples]
    return examples, [Problem(f"the labels {pairs} differ only in how a number is written", "read as one")]


def _duplicate_ids(examples: Sequence[LabelledText] | Sequence[TaggedText]) -> list[Problem]:
    ids = Counter(example.id for example in examples if example.id)
    lines = [example.line for example in examples if ids[example.id] > 1]
    if not lines:
        return []
    shared = sum(count > 1 for count in ids.values())
    return [Problem(f"{told(lines)}: share {shared:,} ids", "kept; ids are told, nothing is decided by them")]


def _seen_once(examples: Sequence[LabelledText]) -> list[Problem]:
    counts = Counter(example.label for example in examples)
    return [
        Problem(f"the label {example.label!r} is seen once", "trained on, cannot be validated", example.line)
        for example in examples
        if counts[example.label] == 1
    ]


def _refuse_none(examples: Sequence[object], name: str, blank: Sequence[int]) -> None:
    if not examples:
        why = f"{len(blank):,} rows, none with a text" if blank else "no rows"
        raise ValidationError(f"{name} is empty: {why}; there is nothing to learn or to evaluate")
