"""The gradients of a network as one vector, and what is told beside them: the loss, and whether the pass did fit.

So one sum over a crew tells all that a step needs. Does not know who adds up, or what is learnt.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch


class Told(NamedTuple):
    """What a summed vector says besides gradients: the loss, and whether every pass did fit into its memory."""

    loss: float
    fits: bool


def pack(parameters: Sequence[torch.nn.Parameter], told: Told) -> torch.Tensor:
    """Return the gradients and what is told as one new vector, float32; the gradients are gone from the parameters.

    A parameter without a gradient is told as such, so that the optimiser leaves alone what no share has used.
    """
    like = parameters[0]
    there = [parameter.grad is not None for parameter in parameters]
    tail = torch.tensor([told.loss, not told.fits, *there], dtype=torch.float32, device=like.device)
    found = [torch.zeros_like(one) if one.grad is None else one.grad for one in parameters]
    vector = torch.cat([*(gradient.reshape(-1).float() for gradient in found), tail])
    for parameter in parameters:
        parameter.grad = None
    return vector


def unpack(parameters: Sequence[torch.nn.Parameter], vector: torch.Tensor) -> Told:
    """Give the parameters the gradients of a vector, as views of it; return what else it tells."""
    sizes = [parameter.numel() for parameter in parameters]
    *gradients, tail = torch.split(vector, [*sizes, 2 + len(sizes)])
    loss, misfits, *there = tail.tolist()
    for parameter, gradient, count in zip(parameters, gradients, there, strict=True):
        parameter.grad = gradient.view_as(parameter) if count else None
    return Told(loss, not misfits)
