"""A crew: processes that train one model together, each on its shares of the rows.

What is divided is fixed by the recipe's `shares`, never by how many are there to do it; so what comes out is the same
whoever is lost. Knows no processes: `process_group.py` does.
"""

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


class Crew(Protocol):
    """What a learner and the training loop ask of those they train with. All of a crew ask the same, in one order.

    Attributes:
        rank: Which of them this process is, from 0; the first alone writes checkpoints and reports.
        size: How many they are; no more than there are shares.
    """

    rank: int
    size: int

    def summed(self, vectors: "Iterator[Tensor]") -> "Tensor":
        """Return the sum of the vectors of all shares, added up in the order of the shares.

        Args:
            vectors: Those of this process's shares, in order, each made when it is asked for and its own memory.
        """
        ...

    def gathered(self, parts: list[Any]) -> list[Any]:
        """Return the parts of all, in the order of the shares."""
        ...

    def any(self, flag: bool) -> bool:
        """Return whether anybody says so."""
        ...


class Alone:
    """A crew of one."""

    rank = 0
    size = 1

    def summed(self, vectors: "Iterator[Tensor]") -> "Tensor":
        """Add them up as they come."""
        total = next(vectors)
        for vector in vectors:
            total += vector
        return total

    def gathered(self, parts: list[Any]) -> list[Any]:
        """Return them."""
        return parts

    def any(self, flag: bool) -> bool:
        """Return the flag."""
        return flag


ALONE = Alone()


def shares_of(rank: int, size: int, shares: int) -> range:
    """Return which shares one of a crew does: a run of them, so that the order of ranks is that of shares."""
    return range(shares * rank // size, shares * (rank + 1) // size)
