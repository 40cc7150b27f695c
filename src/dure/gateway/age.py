"""When a client's connection is old. Those which began together do not all end together, as with gRPC's own rule."""

import random

_SPREAD = 0.1


def aged(max_age_s: float) -> float:
    """Return after how many seconds a connection ends that may be so old, give or take a tenth."""
    return max_age_s * random.uniform(1 - _SPREAD, 1 + _SPREAD)
