"""What the ledger says of a piece of work: moves, bytes, and how long they take."""

import statistics

from dure.bench.timing import Work
from dure.device.transfer import Moved, transfers

_TIMES = 5


def counted(work: Work) -> Moved:
    """Return what one call of `work` moves; the seconds are the median of some calls."""
    found: list[Moved] = []
    for _ in range(_TIMES):
        with transfers() as ledger:
            work()
        found.append(ledger.total)
    return Moved(found[0].num_moves, found[0].num_bytes, statistics.median(moved.seconds for moved in found))
