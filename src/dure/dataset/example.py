"""One row of a data set: a text with its label, or a text with the entities in it.

Positions are characters (Unicode code points) of the text as it is given. Knows no files and no tags.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from dure.errors import ValidationError


@dataclass(frozen=True, slots=True)
class Span:
    """An entity in a text.

    Args:
        start: Its first character, from 0.
        end: The character behind its last one.
        type: What it is, for example `PER`.
    """

    start: int
    end: int
    type: str


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text and its class.

    Args:
        text: The text.
        label: The name of its class.
        id: What its source calls it; empty where it has no name.
        line: The line of its file where it begins, from 1; 0 where there is no file.
    """

    text: str
    label: str
    id: str = ""
    line: int = field(default=0, compare=False)  # where it was found is no part of what it is


@dataclass(frozen=True, slots=True)
class TaggedText:
    """A text and the entities in it.

    Args:
        text: The text.
        entities: The entities in the order of the text; none overlaps another.
        id: What its source calls it; empty where it has no name.
        line: The line of its file where it begins, from 1; 0 where there is no file.
    """

    text: str
    entities: tuple[Span, ...]
    id: str = ""
    line: int = field(default=0, compare=False)  # where it was found is no part of what it is


def ordered(text: str, entities: Iterable[Span]) -> tuple[Span, ...]:
    """Return the entities of a text in its order, once they are seen to lie in it and beside each other.

    Raises:
        ValidationError: An entity without a type, one that is empty or reaches out of the text, or two that overlap.
    """
    found = tuple(sorted(entities, key=lambda span: (span.start, span.end)))
    end = 0
    for span in found:
        named = f"the entity {span.type!r} from {span.start} to {span.end}"
        if not span.type.strip():
            raise ValidationError(f"{named} has no type; say what it is, for example 'PER'")
        if not 0 <= span.start < span.end <= len(text):
            raise ValidationError(
                f"{named} does not lie in its text of {len(text)} characters; count code points from 0, `end` behind"
            )
        if span.start < end:
            raise ValidationError(f"{named} overlaps the one before it, which ends at {end}; keep one of the two")
        end = span.end
    return found
