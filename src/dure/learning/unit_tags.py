"""Entities as tags of units: O, or that a unit begins an entity of a type, or goes on with it.

Knows which entities units cannot express, and counts them: nothing is lost in silence. Does not know features
or models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dure.dataset.example import Span
from dure.learning.units import Ints, Units


@dataclass(frozen=True, slots=True)
class UnitTags:
    """The tags of some units.

    Args:
        tags: One a unit, `(units,)`: 0 is O; type k begins with 1 + 2 k and goes on with 2 + 2 k.
        num_widened: Entities with a border inside a unit: tagged as if they held the whole of it.
        num_left_out: Entities of no unit (blanks only), of a type that is not known, or on a unit that another has.
    """

    tags: Ints
    num_widened: int
    num_left_out: int


def unit_tags(units: Units, entities: Sequence[Sequence[Span]], types: Sequence[str]) -> UnitTags:
    """Tag the units of texts.

    Args:
        units: Of the texts.
        entities: Of each text, by its own code points.
        types: In the order of their numbers.
    """
    numbers = {name: number for number, name in enumerate(types)}
    spans = [(row, span) for row, found in enumerate(entities) for span in found if span.type in numbers]
    num_left_out = sum(map(len, entities)) - len(spans)
    starts = np.array([units.origins[row] + span.start for row, span in spans], np.int64)
    ends = np.array([units.origins[row] + span.end for row, span in spans], np.int64)
    firsts = np.searchsorted(units.ends, starts, side="right")
    lasts = np.searchsorted(units.starts, ends, side="left")
    tags = np.zeros(len(units.starts), np.int64)
    num_widened = 0
    for (_, span), start, end, first, last in zip(spans, starts, ends, firsts, lasts, strict=True):
        if first >= last or tags[first:last].any():
            num_left_out += 1
            continue
        num_widened += bool(units.starts[first] < start or units.ends[last - 1] > end)
        tags[first] = 1 + 2 * numbers[span.type]
        tags[first + 1 : last] = 2 + 2 * numbers[span.type]
    return UnitTags(tags, num_widened, num_left_out)
