"""Which waiting requests go into the next batch.

Pure: no clock, no IO, no state but the queue it is given. `dispatcher.py` is its shell.
"""

from collections import deque
from collections.abc import Callable
from itertools import islice

from dure.gateway.job import Job


def compose(queue: deque[Job], max_batch_size: Callable[[Job], int], *, idle: bool) -> list[Job]:
    """Take the next batch off the queue: its first request, and those behind it that merge with it and fit.

    Withdrawn requests are dropped on the way. Nobody waits for a batch to fill: an idle replica gets what there is.

    Args:
        queue: Waiting requests in the order they came; what is returned is taken off.
        max_batch_size: Most documents to merge for the method behind a request; a larger request goes alone.
        idle: Whether the replica has nothing to do. If it has, a batch that could still grow is left to grow.

    Returns:
        The batch; empty if there is nothing to send now.
    """
    while queue and queue[0].withdrawn:
        queue.popleft()
    if not queue:
        return []
    first, limit = queue[0], max_batch_size(queue[0])
    if limit == 1:
        return [queue.popleft()]
    count, rows = 1, first.rows
    for job in islice(queue, 1, None):
        if not job.merges_with(first) or rows + job.rows > limit:
            break
        rows += job.rows
        count += 1
    if not idle and rows < limit and count == len(queue):
        return []
    batch = [queue.popleft() for _ in range(count)]
    return [job for job in batch if not job.withdrawn]
