"""What exists: the devices that this process may use, and why there is no GPU where there is none.

Asks NVIDIA's management library (the extra `gpu`), never PyTorch: a look costs milliseconds and
starts nothing on the device. Nothing is remembered between calls: `CUDA_VISIBLE_DEVICES` and
`DURE_SIMULATE_GPUS` count as they are now. GPUs are numbered in PCI bus order; on a machine with
unlike GPUs, CUDA agrees only under CUDA_DEVICE_ORDER=PCI_BUS_ID.
"""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, TypeVar

from dure.deps import require
from dure.device import simulated
from dure.device.context import Context, cpu, gpu
from dure.device.cores import usable_cores
from dure.errors import DeviceNotFound, MissingDependency

T = TypeVar("T")

VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One device, as it is at the moment of asking.

    `visible_as` is what a child's `CUDA_VISIBLE_DEVICES` must hold to see this device alone; empty
    for the host. A size is `None` where the system does not tell it.
    """

    context: Context
    name: str
    memory_total_bytes: int | None
    memory_free_bytes: int | None
    driver: str
    visible_as: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The devices present, the host first.

    `missing` says why there is no GPU; it is empty where there is one. `cores` are those that this process may use.
    """

    devices: tuple[DeviceInfo, ...]
    missing: str
    cores: int = 1

    @property
    def gpus(self) -> tuple[DeviceInfo, ...]:
        """The GPUs alone, in the order of their index."""
        return tuple(device for device in self.devices if device.context.kind == "gpu")

    def find(self, context: Context) -> DeviceInfo | None:
        """Return what is known of `context`, or `None` where it is not present."""
        return next((device for device in self.devices if device.context == context), None)


def inventory() -> Inventory:
    """Look for devices, now.

    Raises:
        SpecError: `DURE_SIMULATE_GPUS` or `DURE_SIMULATE_GPU_MEMORY` cannot be read.
    """
    indices = simulated_indices()
    gpus, missing = _nvidia_gpus() if indices is None else _simulated_gpus(indices)
    return Inventory((_host(), *gpus), missing, usable_cores())


def simulated_indices() -> list[int] | None:
    """Return which of the simulated GPUs this process may see, in order; `None`: the real ones count.

    Raises:
        SpecError: `DURE_SIMULATE_GPUS` cannot be read.
    """
    count = simulated.num_simulated()
    return None if count is None else _visible(list(range(count)), lambda entry: _at(entry, count))


def require_device(context: Context) -> DeviceInfo:
    """Return what is known of a device that must be there.

    Raises:
        DeviceNotFound: It is not; names those that are, and what is missing.
    """
    found = inventory()
    device = found.find(context)
    if device is None:
        present = ", ".join(str(known.context) for known in found.devices)
        why = f" There is no GPU: {found.missing}" if found.missing else ""
        raise DeviceNotFound(f"{context} is not on this machine. Present: {present}.{why}")
    return device


def _host() -> DeviceInfo:
    sizes: dict[str, int] = {}
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                label, _, rest = line.partition(":")
                if label in ("MemTotal", "MemAvailable"):
                    sizes[label] = int(rest.split()[0]) * 1024
    except OSError:
        pass  # not Linux: the sizes stay unknown, and say so
    name = f"{platform.machine() or 'host'}, {os.cpu_count()} cores"
    total, free = sizes.get("MemTotal"), sizes.get("MemAvailable")
    return DeviceInfo(cpu(), name, total, free, platform.system())


def _simulated_gpus(indices: list[int]) -> tuple[list[DeviceInfo], str]:
    gpus = [_pretended(index, str(physical)) for index, physical in enumerate(indices)]
    count = simulated.num_simulated() or 0
    none = _hidden(count) if count else f"{simulated.COUNT_VARIABLE} is 0."
    return gpus, "" if gpus else none


def _pretended(index: int, physical: str) -> DeviceInfo:
    device = simulated.simulated_device(index)
    name = "simulated in host memory"
    return DeviceInfo(gpu(index), name, device.total_bytes, device.free_bytes, "none", physical)


def utilization() -> dict[Context, float]:
    """Return the share of the last second or less in which each GPU was busy, by the driver; none of simulated ones."""
    if simulated_indices() is not None:
        return {}
    found, _ = _ask_nvidia(_utilization)
    return found or {}


def _utilization(nvml: Any) -> dict[Context, float]:
    gpus, _ = _asked(nvml)
    handles = {info.context: nvml.nvmlDeviceGetHandleByUUID(info.visible_as) for info in gpus}
    return {context: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100 for context, handle in handles.items()}


def _nvidia_gpus() -> tuple[list[DeviceInfo], str]:
    found, missing = _ask_nvidia(_asked)
    return ([], missing) if found is None else found


def _ask_nvidia(question: Callable[[Any], T]) -> tuple[T | None, str]:
    """Return what NVIDIA's management library answers, or None and why it does not."""
    try:
        nvml: Any = require("pynvml", "gpu")
    except MissingDependency as error:
        return None, f"{error}."
    try:
        nvml.nvmlInit()
    except nvml.NVMLError_LibraryNotFound:
        return None, "no NVIDIA driver is installed (its library libnvidia-ml was not found)."
    except nvml.NVMLError as error:
        return None, f"the NVIDIA driver does not answer: {error}."
    try:
        return question(nvml), ""
    except nvml.NVMLError as error:
        return None, f"the NVIDIA driver does not answer: {error}."
    finally:
        nvml.nvmlShutdown()


def _asked(nvml: Any) -> tuple[list[DeviceInfo], str]:
    count = nvml.nvmlDeviceGetCount()
    if count == 0:
        return [], "the NVIDIA driver is installed but finds no GPU."
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]

    def resolve(entry: str) -> Any:
        index = _at(entry, count)
        if index is not None:
            return handles[index]
        if entry.startswith("MIG-"):
            try:
                return nvml.nvmlDeviceGetHandleByUUID(entry)
            except nvml.NVMLError:
                return None
        named = [handle for handle in handles if nvml.nvmlDeviceGetUUID(handle).startswith(entry)]
        return named[0] if entry.startswith("GPU-") and len(named) == 1 else None

    driver = nvml.nvmlSystemGetDriverVersion()
    shown = _visible(handles, resolve)
    gpus = [_described(nvml, index, handle, driver) for index, handle in enumerate(shown)]
    return gpus, "" if gpus else _hidden(count)


def _described(nvml: Any, index: int, handle: Any, driver: str) -> DeviceInfo:
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        total, free = memory.total, memory.free
    except nvml.NVMLError_NotSupported:  # a GPU that shares the host's memory
        total = free = None
    name, identity = nvml.nvmlDeviceGetName(handle), nvml.nvmlDeviceGetUUID(handle)
    return DeviceInfo(gpu(index), name, total, free, driver, identity)


def _visible(devices: list[Any], resolve: Callable[[str], Any]) -> list[Any]:
    """Return what CUDA shows of `devices`: in the order written, up to an entry that names none."""
    written = os.environ.get(VISIBLE_VARIABLE)
    if written is None:
        return devices
    entries = [entry.strip() for entry in written.split(",")]
    if len(set(entries)) < len(entries):
        return []  # CUDA takes a device named twice as a mistake, and shows none
    return list(takewhile(lambda device: device is not None, map(resolve, entries)))


def _at(entry: str, count: int) -> int | None:
    return int(entry) if entry.isascii() and entry.isdigit() and int(entry) < count else None


def _hidden(count: int) -> str:
    written = os.environ.get(VISIBLE_VARIABLE, "")
    return f"{VISIBLE_VARIABLE}={written!r} hides the {count} that exist."
