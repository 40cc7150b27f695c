"""How long the stages of a job take: those of the host by the host's clock, those of a device by the device's own.

Marks of a device are not waited for while the job runs, so that looking does not slow it down. Knows no stage by name.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from dure.bench.clock import Clock

T = TypeVar("T")


class StageTimes:
    """The stages of one run.

    Args:
        host: Clock of the stages that the host works on.
        device: Clock of the stages that it only asks for.
    """

    def __init__(self, host: Clock, device: Clock) -> None:
        self._host = host
        self._device = device
        self._marks: list[tuple[str, Clock, Any, Any]] = []

    @contextmanager
    def on_device(self, name: str) -> Iterator[None]:
        """Count the block as a stage of the device."""
        first = self._device.mark()
        yield
        self._marks.append((name, self._device, first, self._device.mark()))

    def waiting_for(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """Yield items; what the host does or waits until the next one is there is a stage."""
        iterator = iter(items)
        while True:
            first = self._host.mark()
            try:
                item = next(iterator)
            except StopIteration:
                return
            self._marks.append((name, self._host, first, self._host.mark()))
            yield item

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each stage; waits until the last is done."""
        found: dict[str, float] = {}
        for name, clock, first, second in self._marks:
            found[name] = found.get(name, 0.0) + clock.between(first, second)
        return found
