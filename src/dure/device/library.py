"""Which array library is in use, and the one place per context and library.

PyTorch where it is installed, numpy where it is not; `DURE_ARRAY_LIBRARY` (torch or numpy) says
otherwise. A place is made when it is first asked for, and only if its device exists.
"""

import importlib.util
import os
import sys
import threading
from functools import lru_cache
from typing import Any

import numpy as np

from dure.device import simulated
from dure.device.context import Context, cpu, parse_context
from dure.device.place import Place
from dure.device.probe import require_device, simulated_indices
from dure.errors import DeviceNotFound, SpecError
from dure.spec import suggest

LIBRARY_VARIABLE = "DURE_ARRAY_LIBRARY"
LIBRARIES = ("torch", "numpy")

_places: dict[tuple[str, Context], Place] = {}
_making = threading.Lock()


def library() -> str:
    """Return the array library in use: `torch` or `numpy`.

    Raises:
        SpecError: `DURE_ARRAY_LIBRARY` names another.
    """
    name = os.environ.get(LIBRARY_VARIABLE) or _installed()
    if name not in LIBRARIES:
        known = " or ".join(LIBRARIES)
        raise SpecError(f"{LIBRARY_VARIABLE}: {known}, not {name!r}.{suggest(name, LIBRARIES)}")
    return name


def place_of(context: object = None, name: str | None = None) -> Place:
    """Return the one place of a context and an array library.

    Args:
        context: A `Context` or its name; the host where none is given.
        name: Which library, if not the one in use.

    Raises:
        DeviceNotFound: The device does not exist, or the name names none.
        DeviceLost: It does not answer any more.
    """
    wanted = cpu() if context is None else parse_context(context)
    key = (name or library(), wanted)
    memory = _simulated_memory(wanted)
    place = _places.get(key)
    if place is None or place.memory is not memory:
        with _making:
            place = _places.get(key)
            if place is None or place.memory is not memory:
                place = _places[key] = _make(*key, memory)
    place.check()
    return place


def torch_device(context: object) -> str:
    """Return what PyTorch is to be told as `device`: `cuda:1`, or `cpu` for a simulated GPU.

    Raises:
        DeviceNotFound: The device does not exist, or PyTorch cannot use it.
        MissingDependency: PyTorch is not installed.
    """
    place = place_of(context, "torch")
    return "cpu" if place.memory is not None else place.context.torch_name


def adopted(array: object) -> tuple[Place, Any] | None:
    """Return the place and value of a numpy array or torch tensor, without a copy.

    Anything else gives `None`: it is no array of a library that dure knows.

    Raises:
        DeviceNotFound: A tensor on a device that dure does not know, or on a real GPU while GPUs
            are simulated.
    """
    if isinstance(array, np.ndarray):
        place = place_of(cpu())
        return place, place.from_host(array)
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(array, torch.Tensor):
        return None
    if array.is_cuda and simulated_indices() is not None:
        raise DeviceNotFound(
            f"A tensor on the real {array.device} has no place while GPUs are simulated;"
            f" unset {simulated.COUNT_VARIABLE}."
        )
    place = place_of("cpu" if array.device.type == "cpu" else str(array.device))
    return place, array if place.library == "torch" else array.detach().numpy()


def places() -> list[Place]:
    """Return the places made so far."""
    return list(_places.values())


def _make(name: str, context: Context, memory: simulated.SimulatedDevice | None) -> Place:
    if name == "torch":
        from dure.device.torch_adapter import TorchPlace

        return TorchPlace(context, memory)
    from dure.device.numpy_adapter import NumpyPlace

    return NumpyPlace(context, memory)


def _simulated_memory(context: Context) -> simulated.SimulatedDevice | None:
    indices = None if context.kind == "cpu" else simulated_indices()
    if indices is None:
        return None
    if context.index >= len(indices):
        require_device(context)
    return simulated.simulated_device(context.index)


@lru_cache(maxsize=1)
def _installed() -> str:
    return "torch" if importlib.util.find_spec("torch") else "numpy"
