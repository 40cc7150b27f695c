"""How many operations a transformer does on texts of given lengths: arithmetic on sizes, and nothing else.

Source: each matrix product of (m, k) by (k, n) is 2 m k n operations; everything that is no matrix product is left out.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes of an encoder like BERT."""

    num_layers: int
    hidden_size: int
    intermediate_size: int


def operations(lengths: np.ndarray, shape: ModelShape) -> float:
    """Return the operations of one pass over texts.

    Args:
        lengths: `(texts,) int`, tokens of each text.
        shape: The model's.
    """
    hidden, tokens = shape.hidden_size, lengths.astype(np.float64)
    # Per token: query, key, value and output, then the two layers behind; and two products with every other token.
    linear = 8.0 * hidden**2 + 4.0 * hidden * shape.intermediate_size
    attention = 4.0 * hidden * tokens
    return float(shape.num_layers * (tokens * (linear + attention)).sum())


def padded(lengths: np.ndarray, batch_size: int) -> np.ndarray:
    """Return the lengths with padding: each text of a batch becomes as long as its longest."""
    starts = range(0, len(lengths), batch_size)
    return np.concatenate(
        [np.full_like(part, part.max()) for at in starts if len(part := lengths[at : at + batch_size])]
    )
