"""What time is read from: the host's clock once a device is idle, or the device's own events.

A clock makes marks and says how many seconds lie between two of them. Knows how a device is waited for; does not know
what is timed.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol

from dure.deps import require
from dure.device.context import Context
from dure.device.library import place_of


class Clock(Protocol):
    """Where marks come from."""

    def mark(self) -> Any:
        """Return this point of the work, as far as it has been asked for."""

    def between(self, first: Any, second: Any) -> float:
        """Return the seconds from one mark to another; waits until the second is reached."""

    def settle(self) -> None:
        """Wait until all that was asked for is done."""


class HostClock:
    """The host's clock, read when the devices are idle: for work in which the host has a part.

    Args:
        settles: What waits for each of the devices.
        now: Returns seconds.
    """

    def __init__(self, *settles: Callable[[], None], now: Callable[[], float] = perf_counter) -> None:
        self._settles = settles
        self._now = now

    def mark(self) -> float:
        """Wait for the devices; return the time."""
        self.settle()
        return self._now()

    def between(self, first: float, second: float) -> float:
        """Return the seconds from one mark to another."""
        return second - first

    def settle(self) -> None:
        """Wait for the devices."""
        for settle in self._settles:
            settle()


class EventClock:
    """A CUDA device's own clock: marks are events in the stream of work, so that taking one waits for nothing.

    Args:
        device: PyTorch's name of the device: `cuda:0`.
    """

    def __init__(self, device: str) -> None:
        torch = require("torch", "torch")
        self._cuda = torch.cuda
        self._device = torch.device(device)

    def mark(self) -> Any:
        """Put an event behind what the device was asked to do."""
        event = self._cuda.Event(enable_timing=True)
        event.record(self._cuda.current_stream(self._device))
        return event

    def between(self, first: Any, second: Any) -> float:
        """Wait for the second event; return the seconds that the device counted."""
        second.synchronize()
        return float(first.elapsed_time(second)) / 1000.0  # it tells milliseconds

    def settle(self) -> None:
        """Wait for the device."""
        self._cuda.synchronize(self._device)


def is_real_gpu(context: Context) -> bool:
    """Return whether a context is a GPU, and not a simulated one.

    Raises:
        DeviceNotFound: It is not on this machine.
    """
    return context.kind == "gpu" and place_of(context).memory is None


def host_clock(*contexts: Context) -> HostClock:
    """Return the clock for work of the host and these devices.

    Raises:
        DeviceNotFound: One is not on this machine.
    """
    return HostClock(*(place_of(context).settle for context in contexts))


def device_clock(context: Context) -> Clock:
    """Return the clock for work of one device alone: events on a real GPU, the host's clock elsewhere.

    Raises:
        DeviceNotFound: It is not on this machine.
    """
    return EventClock(context.torch_name) if is_real_gpu(context) else host_clock(context)
