"""Sentences of tokens and their tags, whatever file they stood in, made texts with entities.

The scheme of the tags is found once for all of them. Every sentence that cannot be used is told, with its line, in one
error. Knows no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from dure.dataset.example import TaggedText
from dure.dataset.problems import MAX_TOLD, Problem, told
from dure.dataset.tags import parse, scheme_of, spans_of
from dure.errors import ValidationError


@dataclass(slots=True)
class Sentence:
    """A sentence as it stood: its tokens, a tag and a line for each."""

    id: str = ""
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def add(self, token: str, tag: str, line: int) -> None:
        """Add a token."""
        self.tokens.append(token)
        self.tags.append(tag)
        self.lines.append(line)


def with_entities(
    sentences: Sequence[Sentence], joiner: str, faults: Sequence[str], name: str
) -> tuple[list[TaggedText], list[Problem]]:
    """Return sentences as texts with entities, and what of their tags was repaired.

    Args:
        sentences: The sentences.
        joiner: What stands between two tokens of a text.
        faults: What is wrong with lines that could not be taken apart.
        name: What the file is called in errors.

    Raises:
        ValidationError: There are faults, or tags that cannot be read; names the lines.
    """
    faults = [*faults, *_unreadable(sentences)]
    if faults:
        more = f" (and {len(faults) - MAX_TOLD:,} more)" if len(faults) > MAX_TOLD else ""
        raise ValidationError(f"{name}: {'; '.join(faults[:MAX_TOLD])}{more}")
    scheme = scheme_of(sentence.tags for sentence in sentences)
    problems = [] if scheme == "bio" else [Problem(f"the tags are {scheme.upper()}", "converted")]
    examples = []
    for sentence in sentences:
        text, spans, repaired = spans_of(sentence.tokens, sentence.tags, joiner, scheme=scheme, lines=sentence.lines)
        problems += repaired
        examples.append(TaggedText(text, spans, sentence.id, sentence.lines[0]))
    return examples, problems


def _unreadable(sentences: Sequence[Sentence]) -> list[str]:
    """Return what is wrong with tags, each of them once, with its lines."""
    lines: dict[str, list[int]] = {}
    for sentence in sentences:
        for tag, line in zip(sentence.tags, sentence.lines, strict=True):
            lines.setdefault(tag, []).append(line)
    faults = ((tag, _fault(tag)) for tag in lines)
    return [f"{told(lines[tag])}: {fault}" for tag, fault in faults if fault]


def _fault(tag: str) -> str:
    try:
        parse(tag)
    except ValidationError as error:
        return str(error)
    return ""
