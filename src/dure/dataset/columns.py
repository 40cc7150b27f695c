"""Which column of a table holds what, by the names that data sets give them or by what the caller says.

Knows names and numbers of columns; does not know how a table is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dure.dataset.problems import Problem
from dure.errors import SpecError, ValidationError

# In the order in which they are preferred.
TEXT = ("text", "document", "sentence", "content", "review", "utterance", "query", "question", "title", "headline")
LABEL = ("label", "category", "topic_idx", "topic", "intent", "class", "sentiment", "target", "labels")
ID = ("id", "guid", "index", "idx")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller says of the columns: a name, or a number from 1 for a file without names."""

    text: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """Where text, label and id are in a row, from 0; `id` is None where there is none."""

    text: int
    label: int
    id: int | None
    is_named: bool
    problems: tuple[Problem, ...] = ()


def columns_of(first: Sequence[str], rows: Sequence[Sequence[str]], wanted: Wanted, name: str) -> Columns:
    """Find the columns by the first row of a file, or by their numbers.

    A file of two columns without names is read if one of them is a label beyond doubt: the one with fewer values.

    Args:
        first: The first row of the file.
        rows: The rows after it.
        wanted: What the caller says.
        name: What the file is called in errors.

    Raises:
        SpecError: A column that is not there.
        ValidationError: It cannot be told which columns to take.
    """
    if wanted.text and wanted.label and wanted.text.isdecimal() and wanted.label.isdecimal():
        return Columns(_numbered(wanted.text, first), _numbered(wanted.label, first), None, is_named=False)
    names = [cell.strip() for cell in first]
    text, label = _named(names, wanted.text, TEXT, "text"), _named(names, wanted.label, LABEL, "label")
    if text and label:
        problems = tuple(
            Problem(f"the columns {', '.join(map(repr, found))} could all be the {what}", f"took {found[0]!r}", 1)
            for found, what in ((text, "text"), (label, "label"))
            if len(found) > 1
        )
        ids = [names.index(found) for found in names if found.lower() in ID and found not in (text[0], label[0])]
        return Columns(names.index(text[0]), names.index(label[0]), ids[0] if ids else None, True, problems)
    if len(first) == 2 and not text and not label:
        return _nameless([first, *rows], name)
    missing = "text" if not text else "label"
    raise ValidationError(
        f"{name}: line 1: no column is the {missing}; there are {', '.join(map(repr, names))}. Say {missing}_column,"
        " by name, or both by number (from 1) for a file without column names"
    )


def _named(names: Sequence[str], wanted: str | None, known: Sequence[str], what: str) -> list[str]:
    if wanted is not None:
        if wanted not in names:
            raise SpecError(f"{what}_column: there is no {wanted!r}; there are {', '.join(map(repr, names))}")
        return [wanted]
    lower = {found.lower(): found for found in names}
    return [lower[candidate] for candidate in known if candidate in lower]


def _numbered(number: str, first: Sequence[str]) -> int:
    if not 1 <= int(number) <= len(first):
        raise SpecError(f"text_column, label_column: there is no column {number}; the first row has {len(first)}")
    return int(number) - 1


def _nameless(rows: Sequence[Sequence[str]], name: str) -> Columns:
    kinds = [len({row[column] for row in rows if len(row) == 2}) for column in (0, 1)]
    label = kinds.index(min(kinds))
    if 2 * kinds[label] >= kinds[1 - label]:
        raise ValidationError(
            f"{name}: line 1 has no column names, and both columns could be the label ({kinds[0]:,} and {kinds[1]:,}"
            " different values); say text_column and label_column by number, from 1"
        )
    told = Problem(
        "no column names",
        f"took column {2 - label} as the text and column {label + 1} as the label; line 1 is a row like the others",
        1,
    )
    return Columns(1 - label, label, None, is_named=False, problems=(told,))
