"""Which texts go through a model together, so that little of the work is padding.

Pure arithmetic on lengths; knows nothing of texts, models or devices.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """What a group may hold.

    Args:
        max_waste: Padding, in tokens, that a group may hold. It is the price of one more call of the model: as many
            tokens as could be computed in the time that a call takes to get going.
        max_tokens: Most tokens of a group, padding included; a longer text is a group by itself.
        max_rows: Most texts of a group.
    """

    max_waste: int
    max_tokens: int
    max_rows: int


def group_by_length(lengths: np.ndarray, limits: GroupLimits) -> list[np.ndarray]:
    """Split rows into groups of about the same length.

    Args:
        lengths: `(rows,) int`, tokens of each row.
        limits: What a group may hold.

    Returns:
        Row numbers, group by group, the longest first: each row once, and the first of a group is its longest.
    """
    order = np.argsort(-lengths, kind="stable")
    groups: list[np.ndarray] = []
    start = waste = 0
    for at, length in enumerate(lengths[order].tolist()):
        longest = int(lengths[order[start]])
        rows = at - start + 1
        waste += longest - length
        if waste > limits.max_waste or rows * longest > limits.max_tokens or rows > limits.max_rows:
            if at > start:
                groups.append(order[start:at])
            start, waste = at, 0
    if len(order):
        groups.append(order[start:])
    return groups
