"""Arrays of random numbers, made where they are to live: `nd.random`.

Each array library keeps its own generators; equal seeds give equal numbers on one library and one
kind of device only.
"""

import sys
from typing import Any

from dure.device import numpy_adapter
from dure.device.array import NDArray
from dure.device.creation import Shape, sized
from dure.device.library import place_of


def uniform(
    low: float = 0.0,
    high: float = 1.0,
    shape: Shape = (1,),
    ctx: Any = None,
    dtype: Any = "float32",
) -> NDArray:
    """Return numbers spread evenly from `low` up to `high`.

    Raises:
        DeviceNotFound: There is no such device.
        DeviceOutOfMemory: The array does not fit there.
    """
    return _drawn("uniform", (low, high), shape, ctx, dtype)


def normal(
    loc: float = 0.0,
    scale: float = 1.0,
    shape: Shape = (1,),
    ctx: Any = None,
    dtype: Any = "float32",
) -> NDArray:
    """Return normally distributed numbers with mean `loc` and standard deviation `scale`.

    Raises:
        DeviceNotFound: There is no such device.
        DeviceOutOfMemory: The array does not fit there.
    """
    return _drawn("normal", (loc, scale), shape, ctx, dtype)


def seed(number: int) -> None:
    """Begin the random numbers again, on every device.

    Where PyTorch is loaded this is `torch.manual_seed`, which counts for all of the program.
    """
    numpy_adapter.seed(number)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(number)


def _drawn(name: str, parameters: tuple[float, float], shape: Shape, ctx: Any, dtype: Any) -> NDArray:
    place = place_of(ctx)
    sizes, elements = sized(place, shape, dtype)
    return NDArray(place.draw(name, parameters, sizes, elements), place)
