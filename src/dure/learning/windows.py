"""Long texts in windows that overlap, so that whatever a text's length, memory and context are those of one window.

Knows how a text is cut and which window's word counts for an entity. Does not know units, tags or models. Offsets are
code points.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dure.learning.prediction import Entity

MAX_CHARACTERS = 512
"""Characters of a window; a shorter text is one window."""

MARGIN = 128
"""Characters that two neighbours share on either side of the border between them."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a text.

    Args:
        row: The number of the text.
        start: Its first character.
        end: The one after its last.
        core_start: Where its own part begins: what is seen in it with the most context.
        core_end: The character after its own part.
    """

    row: int
    start: int
    end: int
    core_start: int
    core_end: int

    def owns(self, entity: Entity) -> bool:
        """Whether the middle of an entity, by its place in the text, lies in this window's own part."""
        return self.core_start <= (entity.start + entity.end - 1) // 2 < self.core_end


def windows_of(texts: Sequence[str]) -> Iterator[Window]:
    """Cut texts into windows, in order; an empty text has none."""
    stride = MAX_CHARACTERS - 2 * MARGIN
    for row, text in enumerate(texts):
        length = len(text)
        # Borders between own parts: the first one leaves its window a margin on one side only.
        borders = [0, *range(MAX_CHARACTERS - MARGIN, length - MARGIN, stride), length]
        if length <= MAX_CHARACTERS:
            borders = [0, length] if length else []
        for core_start, core_end in pairwise(borders):
            start, end = max(0, core_start - MARGIN), min(length, core_end + MARGIN)
            yield Window(row, start, end, core_start, core_end)


def in_runs(windows: Iterable[Window], max_characters: int) -> Iterator[list[Window]]:
    """Group windows, in order, so that no group has more characters than this, or is one window."""
    group: list[Window] = []
    held = 0
    for window in windows:
        size = window.end - window.start
        if group and held + size > max_characters:
            yield group
            group, held = [], 0
        group.append(window)
        held += size
    if group:
        yield group


def without_overlaps(entities: Iterable[Entity]) -> list[Entity]:
    """Order entities by place; of two that overlap, which two windows may say, the more probable stays."""
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda each: (each.start, each.end)):
        if not kept or kept[-1].end <= entity.start:
            kept.append(entity)
        elif entity.score > kept[-1].score:
            kept[-1] = entity
    return kept
