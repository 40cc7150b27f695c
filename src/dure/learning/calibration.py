"""Calibration: one temperature, which makes the probabilities of a classifier as high as it is often right.

Knows logits and true classes; not where they come from. Source of the method: Guo et al., "On Calibration of Modern
Neural Networks", 2017.
"""

import torch

_LOWEST, _HIGHEST = 0.01, 100.0
_GRID, _ROUNDS = 41, 4


def fit_temperature(logits: torch.Tensor, gold: torch.Tensor) -> float:
    """Return what logits are to be divided by so that the classes that are true become most probable.

    Args:
        logits: `(texts, labels)`, of texts that were not learnt from.
        gold: The number of the true class of every text.

    Returns:
        A number from 0.01 to 100; 1 where there is no text.
    """
    if not len(gold):
        return 1.0
    logits, gold = logits.double().cpu(), gold.cpu()
    low, high = torch.tensor([_LOWEST, _HIGHEST], dtype=torch.float64).log().tolist()
    for _ in range(_ROUNDS):  # the loss has one valley, so the lowest point of a grid and its neighbours enclose it
        grid = torch.linspace(low, high, _GRID, dtype=torch.float64)
        losses = torch.stack([torch.nn.functional.cross_entropy(logits / at.exp(), gold) for at in grid])
        best = int(losses.argmin())
        low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, _GRID - 1)])
    return float(torch.tensor((low + high) / 2).exp())


def calibration_error(logits: torch.Tensor, gold: torch.Tensor, num_bins: int = 15) -> float:
    """Return the expected calibration error: how far probability and share of right answers lie apart on average.

    Args:
        logits: `(texts, labels)`.
        gold: The number of the true class of every text.
        num_bins: Ranges of probability that are compared.

    Returns:
        From 0, calibrated, to 1.
    """
    scores, guesses = logits.double().softmax(1).max(1)
    right = (guesses == gold).double()
    bins = (scores * num_bins).long().clamp(max=num_bins - 1)
    gaps = torch.zeros(num_bins, dtype=torch.float64).index_add_(0, bins, scores - right)
    return float(gaps.abs().sum() / len(gold))
