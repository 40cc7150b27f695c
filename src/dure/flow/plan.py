"""Who runs where, and why: decided from the settings and the devices present, before anything starts.

Pure: `make_plan` asks nobody. A GPU is given to a replica by making it the only one its process can see.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from dure.backends.gpus import parse_gpus
from dure.backends.image import image_name
from dure.device.context import Context, cpu, parse_context
from dure.device.probe import VISIBLE_VARIABLE, DeviceInfo, Inventory
from dure.errors import DeviceNotFound, DeviceOutOfMemory, SpecError
from dure.spec import ExecutorSpec, FlowSpec

AUTO = "auto"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
"""What tells the libraries of a worker how many threads to use: PyTorch and numpy, and tokenizers."""
_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMG]i?B|B)?")


class Placement(Struct, frozen=True, kw_only=True):
    """One replica's place.

    `context` is the device as this process counts it, None where nothing was said of a device; `device` is what the
    constructor is told, who sees this device alone; `memory_bytes` is what it was promised, `threads` is how many cores
    a call of it may use. `asks` is what a Ray cluster is asked for, by Ray's names.
    """

    executor: str
    replica: int
    context: Context | None
    device: str | None
    env: dict[str, str]
    memory_bytes: int
    threads: int
    reason: str
    asks: dict[str, float] = {}


class Plan(Struct, frozen=True):
    """Every replica's place, and how the cores are divided. Printing it gives a table."""

    placements: tuple[Placement, ...]
    devices: tuple[DeviceInfo, ...]
    division: str

    def __str__(self) -> str:
        rows = [("executor", "replica", "device", "memory", "threads", "why")]
        for p in self.placements:
            where = "-" if p.context is None else str(p.context)
            memory = f"{p.memory_bytes / 2**30:.2f} GiB" if p.memory_bytes else "-"
            rows.append((p.executor, str(p.replica), where, memory, str(p.threads), p.reason))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, self.division])

    def of(self, executor: str, replica: int) -> Placement:
        """Return one replica's place."""
        return next(p for p in self.placements if (p.executor, p.replica) == (executor, replica))


def make_plan(spec: FlowSpec, found: Inventory) -> Plan:
    """Place every replica of a Flow.

    Args:
        spec: The Flow.
        found: The devices present.

    Raises:
        SpecError: A setting that makes no sense.
        DeviceNotFound: A device that is not present; lists those that are.
        DeviceOutOfMemory: Promised memory does not fit; names what is asked for and what is free.
    """
    calls = sum(most_replicas(executor) * executor.concurrency for executor in spec.executors)
    planner = _Planner(found, max(1, found.cores // max(calls, 1)))
    placements: list[Placement] = []
    check_places(spec)
    for i, executor in enumerate(spec.executors):
        path = f"executors[{i}]"
        _refuse_for_ray(executor, path)
        placements.extend(planner.place(executor, replica, path) for replica in range(most_replicas(executor)))
    return Plan(tuple(placements), found.devices, _division(found.cores, calls))


def check_places(spec: FlowSpec) -> None:
    """Look whether what is said of places fits together, whatever places there are.

    Raises:
        SpecError: It does not.
    """
    for i, executor in enumerate(spec.executors):
        path = f"executors[{i}]"
        names_visible = VISIBLE_VARIABLE in {**spec.env, **executor.env}
        if executor.max_replicas is not None and executor.max_replicas < executor.replicas:
            raise SpecError(f"{path}.max_replicas: {executor.max_replicas} is less than replicas={executor.replicas}")
        if executor.device is not None and names_visible:
            raise SpecError(f"{path}: both device and env.{VISIBLE_VARIABLE} say where it runs; leave one out")
        if executor.gpus is not None and (executor.device is not None or names_visible):
            other = "device" if executor.device is not None else f"env.{VISIBLE_VARIABLE}"
            raise SpecError(f"{path}: both gpus and {other} say where it runs; leave one out")
        if executor.device_memory is not None and executor.device is None:
            raise SpecError(f"{path}.device_memory: says how much, but `device` does not say of what")


def _refuse_for_ray(spec: ExecutorSpec, path: str) -> None:
    """Refuse what a process of this machine cannot be held to."""
    if image_name(spec.uses) is not None:
        return
    unsaid = ExecutorSpec(uses="")
    for name in ("max_memory", "max_cpus", "ray_options"):
        if getattr(spec, name) != getattr(unsaid, name):
            others = "" if name == "ray_options" else "a container (uses='docker://image') or "
            raise SpecError(
                f"{path}.{name}: means nothing for a process of this machine: only {others}a Ray actor"
                " (start(backend='ray')) has it"
            )


def most_replicas(spec: ExecutorSpec) -> int:
    """Return how many replicas an Executor may come to have."""
    return max(spec.replicas, spec.max_replicas or 0)


class _Planner:
    """Keeps count of what has been promised on each device so far."""

    def __init__(self, found: Inventory, threads: int) -> None:
        self._found = found
        self._threads = threads
        self._promised: dict[Context, int] = {}
        self._replicas: dict[Context, int] = {}

    def place(self, spec: ExecutorSpec, replica: int, path: str) -> Placement:
        image = image_name(spec.uses)
        if image is not None:
            return self._placement(spec, replica, None, 0, f"in a container of {image}")
        if spec.gpus is not None:
            visible = [gpu.visible_as for gpu in self._found.gpus]
            seen = parse_gpus(spec.gpus, f"{path}.gpus").cuda(visible, f"{path}.gpus")
            place = self._placement(spec, replica, None, 0, f"gpus={spec.gpus!r}")
            return msgspec.structs.replace(place, env={VISIBLE_VARIABLE: seen})
        wish = _wish(spec.device, replica, path)
        if wish is None:
            return self._placement(spec, replica, None, 0, "no device was named")
        device, reason = self._choose(wish, spec.device_memory, path)
        need = _memory(spec.device_memory, device, path)
        self._promise(device, need, path)
        return self._placement(spec, replica, device, need, reason)

    def _choose(self, wish: str, memory: Any, path: str) -> tuple[DeviceInfo, str]:
        gpus = self._found.gpus
        host = self._found.devices[0]
        if wish == AUTO and not gpus:
            return host, f"auto, and there is no GPU: {self._found.missing}"
        if wish in (AUTO, "gpu", "cuda"):
            if not gpus:
                raise DeviceNotFound(f"{path}.device: {wish!r} asks for a GPU and there is none: {self._found.missing}")
            fitting = [gpu for gpu in gpus if self._fits(gpu, memory, path)] or gpus
            least = min(fitting, key=lambda gpu: (self._replicas.get(gpu.context, 0), gpu.context.index))
            return least, f"{wish}: the GPU with the fewest replicas of {len(gpus)}"
        context = parse_context(wish)
        chosen = self._found.find(context)
        if chosen is None:
            present = ", ".join(str(device.context) for device in self._found.devices)
            why = f" ({self._found.missing.rstrip('.')})" if self._found.missing else ""
            raise DeviceNotFound(f"{path}.device: {context} is not on this machine{why}. Present: {present}.")
        return chosen, "named"

    def _placement(
        self, spec: ExecutorSpec, replica: int, device: DeviceInfo | None, need: int, reason: str
    ) -> Placement:
        env: dict[str, str] = {}
        told: str | None = None
        if device is not None:
            on_host = device.context == cpu()
            env = {VISIBLE_VARIABLE: "" if on_host else device.visible_as}
            told = "cpu" if on_host else "cuda"
        return Placement(
            executor=spec.name,
            replica=replica,
            context=None if device is None else device.context,
            device=told,
            env=env,
            memory_bytes=need,
            threads=spec.cpu_threads or self._threads,
            reason=reason,
        )

    def _free(self, device: DeviceInfo) -> int | None:
        free = device.memory_free_bytes
        return None if free is None else free - self._promised.get(device.context, 0)

    def _fits(self, device: DeviceInfo, memory: Any, path: str) -> bool:
        free = self._free(device)
        return free is None or _memory(memory, device, path) <= free

    def _promise(self, device: DeviceInfo, need: int, path: str) -> None:
        free = self._free(device)
        if free is not None and need > free:
            raise DeviceOutOfMemory(
                f"{path}.device_memory: {need / 2**30:.2f} GiB do not fit on {device.context}: {free / 2**30:.2f} GiB"
                f" are free there, after {self._replicas.get(device.context, 0)} replica(s) planned before it"
            )
        self._promised[device.context] = self._promised.get(device.context, 0) + need
        self._replicas[device.context] = self._replicas.get(device.context, 0) + 1


def _wish(device: str | Sequence[str] | None, replica: int, path: str) -> str | None:
    if device is None or isinstance(device, str):
        return device
    if not device:
        raise SpecError(f"{path}.device: the list is empty")
    return device[replica % len(device)]


def _division(cores: int, calls: int) -> str:
    have = f"{cores} core{'s' * (cores > 1)}"
    if calls <= 1:
        return f"{have}: all for the one call that runs at a time"
    if calls > cores:
        return f"{have} for {calls} calls at a time, each with 1 thread: they will wait for each other"
    threads = cores // calls
    return f"{have} for {calls} calls at a time: {threads} thread{'s' * (threads > 1)} for each"


def _memory(value: str | float | None, device: DeviceInfo, path: str) -> int:
    if value is None:
        return 0
    if isinstance(value, float):
        if not 0 < value <= 1:
            raise SpecError(f"{path}.device_memory: as a share it must be more than 0 and at most 1.0, not {value}")
        return int(value * (device.memory_total_bytes or 0))
    return bytes_of(value, f"{path}.device_memory", "0.5 (a share), ")


def bytes_of(value: str | int, path: str, more: str = "") -> int:
    """Read a size of memory, `6000000000` or `6GiB`; `more` is what else may be written there.

    Raises:
        SpecError: It is none.
    """
    written = _SIZE.fullmatch(str(value).strip())
    if written is None:
        raise SpecError(f"{path}: {value!r} is no size; write {more}6000000000 or '6GiB'")
    return int(float(written[1]) * _UNITS[written[2] or ""])
