"""Devices made of host memory that behave as gpu(0), gpu(1), … on a machine without a GPU.

`DURE_SIMULATE_GPUS=2` turns them on, in this process and in those it starts; `simulated_gpus` does
so for a block. They keep count of what lives on them, run out of memory and can be lost. They do
not know what an array is, and prove where data lives and what moves, not how fast anything is.
"""

import os
import threading
import weakref
from collections import deque
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager

from dure.device.context import Context, gpu
from dure.device.memory import out_of_memory
from dure.errors import DeviceLost, SpecError

COUNT_VARIABLE = "DURE_SIMULATE_GPUS"
MEMORY_VARIABLE = "DURE_SIMULATE_GPU_MEMORY"
DEFAULT_MEMORY_BYTES = 16 * 2**30


class SimulatedDevice:
    """The memory of one simulated GPU, as far as this process uses it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._lost = ""
        self._used_bytes = 0
        self._held: dict[Hashable, tuple[int, int]] = {}  # memory -> (arrays that use it, bytes)
        # A finalizer may run in the middle of any line, while the lock is held too: it only queues.
        self._released: deque[Hashable] = deque()
        self._lock = threading.Lock()

    @property
    def total_bytes(self) -> int:
        """How much the device holds."""
        return memory_limit_bytes()

    @property
    def used_bytes(self) -> int:
        """How much of it is taken by arrays that are alive."""
        with self._lock:
            self._settle()
            return self._used_bytes

    @property
    def free_bytes(self) -> int:
        """How much of it is free."""
        return max(0, self.total_bytes - self.used_bytes)

    def check(self) -> None:
        """Do nothing, or say that the device is lost.

        Raises:
            DeviceLost: It is, and stays so.
        """
        if self._lost:
            raise DeviceLost(f"{self.context} is lost: {self._lost}. What it held is gone; start a new process.")

    def require(self, num_bytes: int) -> None:
        """Do nothing, or say that so much does not fit.

        Raises:
            DeviceLost: The device is lost.
            DeviceOutOfMemory: Less is free; names both.
        """
        self.check()
        free = self.free_bytes
        if num_bytes > free:
            raise out_of_memory(self.context, num_bytes, free, self.total_bytes)

    def hold(self, owner: object, memory: Hashable, num_bytes: int) -> None:
        """Count a piece of memory as taken for as long as `owner` lives.

        Args:
            owner: The array; when it is collected, its share is given back.
            memory: Identity of the memory; owners that share one (views) are counted once.
            num_bytes: Size of the whole piece of memory.

        Raises:
            DeviceLost: The device is lost.
            DeviceOutOfMemory: It does not fit.
        """
        self.check()
        with self._lock:
            self._settle()
            users, _ = self._held.get(memory, (0, 0))
            if not users:
                free = self.total_bytes - self._used_bytes
                if num_bytes > free:
                    raise out_of_memory(self.context, num_bytes, max(0, free), self.total_bytes)
                self._used_bytes += num_bytes
            self._held[memory] = (users + 1, num_bytes)
        weakref.finalize(owner, self._released.append, memory).atexit = False

    def lose(self, reason: str = "an injected fault") -> None:
        """Make every later use of the device fail, as a CUDA device does after a sticky error."""
        self._lost = reason

    def _settle(self) -> None:
        while self._released:
            memory = self._released.popleft()
            users, num_bytes = self._held.pop(memory)
            if users > 1:
                self._held[memory] = (users - 1, num_bytes)
            else:
                self._used_bytes -= num_bytes


_devices: dict[int, SimulatedDevice] = {}


def num_simulated() -> int | None:
    """Return how many GPUs are simulated, 0 for a machine without any; `None`: the real ones count.

    Raises:
        SpecError: The variable holds something else than a whole number from 0.
    """
    return _whole_number(COUNT_VARIABLE, least=0)


def memory_limit_bytes() -> int:
    """Return how much each simulated GPU holds.

    Raises:
        SpecError: The variable holds something else than a whole number from 1.
    """
    limit = _whole_number(MEMORY_VARIABLE, least=1)
    return DEFAULT_MEMORY_BYTES if limit is None else limit


def simulated_device(index: int) -> SimulatedDevice:
    """Return the memory of the simulated GPU that stands at `index` in this process."""
    return _devices.setdefault(index, SimulatedDevice(gpu(index)))


@contextmanager
def simulated_gpus(
    count: int = 2, *, memory_bytes: int = DEFAULT_MEMORY_BYTES
) -> Iterator[Mapping[Context, SimulatedDevice]]:
    """Simulate `count` GPUs in this block, also for the processes started in it.

    They begin empty and whole; arrays that outlive the block can no longer be used. The block
    changes the environment, so that one thread of a process at a time may be in one.

    Args:
        count: Number of GPUs, from 0.
        memory_bytes: What each of them holds.

    Yields:
        The devices by context, to see what is used and to make them fail.
    """
    wanted = {COUNT_VARIABLE: str(count), MEMORY_VARIABLE: str(memory_bytes)}
    before = {variable: os.environ.get(variable) for variable in wanted}
    outer = dict(_devices)
    _devices.clear()
    os.environ.update(wanted)
    try:
        yield {gpu(index): simulated_device(index) for index in range(num_simulated() or 0)}
    finally:
        for device in _devices.values():
            device.lose("its simulation has ended")
        _devices.clear()
        _devices.update(outer)
        for variable, value in before.items():
            if value is None:
                del os.environ[variable]
            else:
                os.environ[variable] = value


def _whole_number(variable: str, *, least: int) -> int | None:
    written = os.environ.get(variable, "")
    if not written:
        return None
    if not (written.isascii() and written.isdigit()) or int(written) < least:
        raise SpecError(f"{variable}: a whole number from {least} is needed, not {written!r}.")
    return int(written)
