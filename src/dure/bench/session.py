"""One run of measurements: on which devices, who is told, and how long it may take.

Sees to it that one part that fails, or that there is no time for, costs nothing but itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dure.device.context import Context
from dure.errors import DureError


@dataclass(frozen=True, slots=True)
class Session:
    """What is to be measured on.

    Args:
        contexts: The devices, at least one.
        tell: Called with a line before each part.
        commit: What is measured, where it does not stand in a git checkout.
        has_time: Asked before each part.
    """

    contexts: Sequence[Context]
    tell: Callable[[str], None]
    commit: str = ""
    has_time: Callable[[], bool] = lambda: True

    def run(self, where: str, parts: Mapping[str, Callable[[], None]], failures: list[str]) -> None:
        """Measure parts one after the other; what is left out or fails becomes a line of `failures`.

        Args:
            where: On what.
            parts: By name.
            failures: Is added to.
        """
        for name, part in parts.items():
            if not self.has_time():
                failures.append(f"{where}: {name}: left out, the time was up.")
                continue
            self.tell(f"{where}: {name}")
            try:
                part()
            except (DureError, RuntimeError) as error:  # PyTorch tells of its devices by RuntimeErrors
                failures.append(f"{where}: {name}: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
