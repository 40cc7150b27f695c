"""A clock that stands still but for what the work itself adds, so that a measurement has one right answer."""

from collections.abc import Callable, Iterator


class StandingClock:
    def __init__(self) -> None:
        self.time_s = 0.0
        self.num_waits = 0

    def mark(self) -> float:
        return self.time_s

    def between(self, first: float, second: float) -> float:
        return second - first

    def settle(self) -> None:
        self.num_waits += 1

    def work(self, *seconds: float) -> Callable[[], None]:
        """Work whose calls take these times; the last one for ever after."""
        times = self._endless(seconds)

        def call() -> None:
            self.time_s += next(times)

        return call

    @staticmethod
    def _endless(seconds: tuple[float, ...]) -> Iterator[float]:
        yield from seconds
        while True:
            yield seconds[-1]


class TickingClock:
    """A clock on which a step passes from mark to mark, whatever is done in between."""

    def __init__(self, step_s: float = 1.0) -> None:
        self._step_s = step_s
        self._time_s = 0.0

    def mark(self) -> float:
        self._time_s += self._step_s
        return self._time_s

    def between(self, first: float, second: float) -> float:
        return second - first

    def settle(self) -> None:
        pass
