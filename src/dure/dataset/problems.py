"""What is wrong with a row of a data set, said so that its owner can put it right.

Knows how a problem is told, and how many of one kind are told; does not know what is a problem.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MAX_TOLD = 10


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a reader has to be told, though the rest of the data can be used.

    Args:
        what: What was seen, with its value.
        remedy: What dure did about it, or what its owner should do.
        line: The line of the file, from 1; 0 where it is of no single line, or there is no file.
    """

    what: str
    remedy: str
    line: int = 0

    def __str__(self) -> str:
        return f"{f'line {self.line}: ' if self.line else ''}{self.what}; {self.remedy}"


def told(lines: Sequence[int]) -> str:
    """Return the first lines in words: `lines 3, 9 and 120 more`."""
    first = ", ".join(f"{line:,}" for line in lines[:MAX_TOLD])
    more = f" and {len(lines) - MAX_TOLD:,} more" if len(lines) > MAX_TOLD else ""
    return f"line{'s' if len(lines) > 1 else ''} {first}{more}"
