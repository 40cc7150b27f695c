"""The data set of a training: checked before the job is taken, kept as JSON lines until it ends.

Knows rows; where they came from is its callers' business.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from dure.dataset.dataset import digest_of
from dure.dataset.example import LabelledText, Span, TaggedText, ordered
from dure.dataset.tags import scheme_of, spans_of
from dure.errors import DecodeError, ValidationError

Examples: TypeAlias = Sequence[LabelledText] | Sequence[TaggedText]


class TaggedTokens(msgspec.Struct, frozen=True):
    """Tokens with a tag each, as BIO and its kin have them.

    Args:
        tokens: Words, or characters.
        tags: One for each token.
        joiner: What stands between two tokens in the text.
    """

    tokens: Sequence[str]
    tags: Sequence[str]
    joiner: str = " "


def labelled(rows: Iterable[tuple[str, str]]) -> list[LabelledText]:
    """Return texts and labels as examples.

    Raises:
        ValidationError: Rows without a label or text; names the first, from 0.
    """
    found = [LabelledText(text, label.strip()) for text, label in rows]
    _refuse_rows([number for number, row in enumerate(found) if not row.label], "has no label; give each row one")
    _refuse_rows([number for number, row in enumerate(found) if not row.text.strip()], "has no text; leave it out")
    return found


def tagged(rows: Iterable[tuple[str, Sequence[Span]] | TaggedTokens]) -> list[TaggedText]:
    """Return texts with entities, or tokens with tags, as examples.

    Raises:
        ValidationError: A row that cannot be read; names it, from 0.
    """
    rows = list(rows)
    scheme = scheme_of([row.tags for row in rows if isinstance(row, TaggedTokens)])
    found = []
    for number, row in enumerate(rows):
        try:
            if isinstance(row, TaggedTokens):
                text, entities, _ = spans_of(row.tokens, row.tags, row.joiner, scheme=scheme)
            else:
                text, entities = row[0], ordered(row[0], row[1])
        except ValidationError as error:
            raise ValidationError(f"data_set[{number}]: {error}") from error
        found.append(TaggedText(text, entities))
    _refuse_rows([number for number, row in enumerate(found) if not row.text.strip()], "has no text; leave it out")
    return found


def encoded(examples: Examples) -> tuple[list[bytes], str]:
    """Return examples as JSON texts, one each, and their digest: the one that reading their file tells."""
    return [msgspec.json.encode(example) for example in examples], digest_of(examples)


def read(path: Path, task: str) -> Examples:
    """Return the examples that were kept in a file.

    Raises:
        DecodeError: It is damaged.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
        if task == "tc":
            return [msgspec.json.decode(line, type=LabelledText) for line in lines]
        return [msgspec.json.decode(line, type=TaggedText) for line in lines]
    except (OSError, msgspec.DecodeError) as error:
        raise DecodeError(f"{path}: the data set that was kept is damaged: {error}") from error


def _refuse_rows(numbers: Sequence[int], what: str) -> None:
    if numbers:
        more = f" (and {len(numbers) - 1:,} more rows)" if len(numbers) > 1 else ""
        raise ValidationError(f"data_set[{numbers[0]}]{more} {what}")
