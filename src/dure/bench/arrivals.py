"""When the requests of an open loop are sent: moments that nobody's answers can move.

Pure; knows no clock and no requests.
"""

import numpy as np


def poisson(rate: float, start_s: float, end_s: float, rng: np.random.Generator) -> np.ndarray:
    """Return the moments of a Poisson process, as many callers who know nothing of each other make it.

    Args:
        rate: Arrivals per second, > 0; the mean, not the number of this draw.
        start_s: First possible moment.
        end_s: End, not itself a moment.
        rng: Where chance comes from.

    Returns:
        `(arrivals,)` float64 in seconds, ascending.
    """
    # Once their number is known, the moments of a Poisson process are uniform and independent.
    count = rng.poisson(rate * (end_s - start_s))
    return np.sort(rng.uniform(start_s, end_s, count))
