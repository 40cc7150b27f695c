"""Look for an input that does harm: Hypothesis for a given time, and what one input may cost.

The time and memory that an input may take grow with its size and nothing else.
"""

import contextlib
import gc
import time
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from dure.errors import DureError

_ROUND = 200
"""Examples between two looks at the clock."""

_SMALLER_S = 20.0
"""For so long a smaller input that fails is looked for."""


class Search(NamedTuple):
    """A search that ends after some seconds, and is the same one for the same seed."""

    seconds: float
    seed: int

    def __call__(self, inputs: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
        """Give drawn inputs to `check`, until it fails or the time is over."""
        until = time.monotonic() + self.seconds
        number = 0
        while not number or time.monotonic() < until:
            rules = settings(max_examples=_ROUND, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            seeded(self.seed * 100_000 + number)(rules(given(inputs)(_in_time(check, until))))()
            number += 1


def _in_time(check: Callable[[Any], None], until: float) -> Callable[[Any], None]:
    """Return a check that does nothing when the time is over; if it has failed, a smaller input is looked for yet."""
    failed: list[Any] = []

    def checked(drawn: Any) -> None:
        if time.monotonic() > until + (_SMALLER_S if failed else 0) and drawn not in failed:
            return
        try:
            check(drawn)
        except BaseException as error:
            error.add_note(f"given {drawn!r:.2000}")
            failed.append(drawn)
            raise

    return checked


def value_or_error(call: Callable[[], Any]) -> Any:
    """Return what a call returns; None where it refuses with an error of ours."""
    try:
        return call()
    except DureError as error:
        _check_message(str(error))
        return None


def _check_message(message: str) -> None:
    assert message, "an error without a word"
    message.encode()  # it travels


class Bounds(NamedTuple):
    """What an input of n bytes may cost."""

    seconds: float = 0.5
    seconds_a_byte: float = 20e-6
    memory: int = 2 * 2**20
    memory_a_byte: int = 600

    def check(self, size: int, call: Callable[[], Any]) -> Any:
        """Return what a call returns, if it took no more.

        Time is that of this thread on a core, whatever else the machine does; what took too long may try once more.
        """
        if self._spent_s(call) > self.seconds + self.seconds_a_byte * size:
            spent_s = self._spent_s(call)
            assert spent_s <= self.seconds + self.seconds_a_byte * size, f"{size:,} bytes took {spent_s:.2f} s"
        tracemalloc.start()
        try:
            return call()
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak <= self.memory + self.memory_a_byte * size, f"{size:,} bytes took {peak / 2**20:,.1f} MiB"

    def _spent_s(self, call: Callable[[], Any]) -> float:
        gc.disable()  # it would look at everything that this process holds
        began = time.thread_time()
        try:
            with contextlib.suppress(Exception):
                call()
            return time.thread_time() - began
        finally:
            gc.enable()
