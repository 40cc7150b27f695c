"""Tags of tokens in the schemes that people use, and the entities that they mean.

Reads BIO (IOB2), IOB1, BIOES and BILOU, with the place before the type (`B-PER`) or behind it (`PER_B`). One scheme
holds for a whole file: a lone `I-` is an error in BIO, and how entities begin in IOB1. Knows no files.
"""

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from dure.dataset.example import Span
from dure.dataset.problems import Problem
from dure.errors import ValidationError

Scheme = Literal["bio", "iob1", "bioes"]

OUTSIDE = frozenset({"O", "o", "-", "_"})
BEGINS, CONTINUES = frozenset("BSU"), frozenset("IEL")
ENDS = frozenset("SUEL")

_PREFIXED = re.compile(r"([BIESLU])-(.+)")
_SUFFIXED = re.compile(r"(.+)_([BIESLU])")
_SEVERAL = re.compile(r"[,|/;]\s*[BIESLU]-")


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag, taken apart: where in an entity of which type its token is; `place` is `O` outside of all."""

    place: str
    type: str = ""


@functools.lru_cache(maxsize=1024)
def parse(tag: str) -> Tag:
    """Take a tag apart.

    Raises:
        ValidationError: Several tags in one, or a tag of no scheme that is read here.
    """
    if tag in OUTSIDE:
        return Tag("O")
    if _SEVERAL.search(tag):
        raise ValidationError(f"the tag {tag!r} is several tags for one token; keep one of them")
    if match := _PREFIXED.fullmatch(tag):
        return Tag(match[1], match[2])
    if match := _SUFFIXED.fullmatch(tag):
        return Tag(match[2], match[1])
    raise ValidationError(f"the tag {tag!r} is of no known scheme; write B-TYPE, I-TYPE and O (or PER_B, or BIOES)")


def scheme_of(sequences: Iterable[Sequence[str]]) -> Scheme:
    """Return the scheme that the tags of a whole data set follow.

    It is IOB1 if entities begin with `I-` and `B-` stands only where two of one type touch.

    Raises:
        ValidationError: A tag that cannot be read.
    """
    lone, plain_b = False, False
    for tags in sequences:
        before = Tag("O")
        for tag in map(parse, tags):
            if tag.place in "ESLU":
                return "bioes"
            touches = before.type == tag.type
            lone |= tag.place == "I" and not touches
            plain_b |= tag.place == "B" and not touches
            before = tag
    return "iob1" if lone and not plain_b else "bio"


def spans_of(
    tokens: Sequence[str],
    tags: Sequence[str],
    joiner: str = " ",
    *,
    scheme: Scheme = "bio",
    lines: Sequence[int] = (),
) -> tuple[str, tuple[Span, ...], list[Problem]]:
    """Return the text of tokens, its entities, and what had to be repaired.

    A tag that continues an entity which has not begun begins one: `I-` is read as `B-`, and told unless IOB1 has it so.

    Args:
        tokens: The tokens (words, or characters).
        tags: A tag for each of them.
        joiner: What stands between two tokens in the text: a blank for words, nothing for characters.
        scheme: What `scheme_of` found for the whole data set.
        lines: The line of each token, for what is told.

    Raises:
        ValidationError: Other than one tag for each token, or a tag that cannot be read.
    """
    if len(tokens) != len(tags):
        raise ValidationError(
            f"{len(tokens)} tokens and {len(tags)} tags: each token needs one tag (O where it is of no entity)"
        )
    spans: list[Span] = []
    problems: list[Problem] = []
    is_open, at = False, 0
    for number, (token, raw) in enumerate(zip(tokens, tags, strict=True)):
        tag, start, at = parse(raw), at, at + len(token)
        if tag.place in CONTINUES and is_open and spans[-1].type == tag.type:
            spans[-1] = Span(spans[-1].start, at, tag.type)
        elif tag.place != "O":
            if tag.place in CONTINUES and scheme != "iob1":
                problems.append(_repaired(raw, tag, number, lines))
            spans.append(Span(start, at, tag.type))
        is_open = tag.place != "O" and tag.place not in ENDS
        at += len(joiner)
    return joiner.join(tokens), tuple(spans), problems


def tags_of(tokens: Sequence[str], entities: Sequence[Span], joiner: str = " ") -> list[str]:
    """Return the BIO tags of tokens whose text, put together with `joiner`, has these entities.

    A token is of an entity if any of its characters is.
    """
    tags: list[str] = []
    at, following = 0, iter(entities)
    span = next(following, None)
    begun = False
    for token in tokens:
        end = at + len(token)
        while span and span.end <= at:
            span, begun = next(following, None), False
        if span and span.start < end:
            tags.append(f"{'I' if begun else 'B'}-{span.type}")
            begun = True
        else:
            tags.append("O")
        at = end + len(joiner)
    return tags


def _repaired(raw: str, tag: Tag, number: int, lines: Sequence[int]) -> Problem:
    told = f"the tag {raw!r} of token {number + 1} continues an entity that has not begun"
    return Problem(told, f"read as B-{tag.type}", lines[number] if lines else 0)
