"""How far a `post` is: requests, documents, rates, and a total only where one is known.

A live bar on a terminal, plain lines elsewhere, both on standard error. Knows nothing of what is sent.
"""

import sys
import time
from types import TracebackType
from typing import Any, Self

_LINE_EVERY_S = 5.0


class Progress:
    """Counts steps (answered requests) and documents from `with` to its end.

    Args:
        total: Number of requests to come, or None if nobody knows.
    """

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._steps = 0
        self._documents = 0
        self._begin = 0.0
        self._next_line = 0.0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        self._begin = time.perf_counter()
        self._next_line = self._begin + _LINE_EVERY_S
        if sys.stderr.isatty():
            self._bar, self._task = _bar(self._total)
            self._bar.start()
        return self

    def advance(self, num_documents: int, *, final: bool) -> None:
        """Count documents that came back; `final` if they close a request."""
        self._documents += num_documents
        self._steps += final
        if self._bar is not None:
            self._bar.update(self._task, completed=self._steps, rates=self._rates())
        elif (now := time.perf_counter()) >= self._next_line:
            self._next_line = now + _LINE_EVERY_S
            of = "" if self._total is None else f" of {self._total:,}"
            self._print(f"Working... {self._steps:,}{of} steps, {_clock(now - self._begin)}, {self._rates()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=self._steps, rates=self._rates(), refresh=True)
            self._bar.stop()
        seconds = time.perf_counter() - self._begin
        took = f"{seconds:.0f} seconds" if seconds >= 10 else f"{seconds:.2f} seconds"
        how = "done" if error is None else "done before it stopped"
        self._print(
            f"Working... {_clock(seconds)} {self._rates()} {self._steps:,} steps {how} in {took}"
            f" ({self._documents:,} documents)"
        )

    def _rates(self) -> str:
        seconds = max(time.perf_counter() - self._begin, 1e-9)
        return f"{self._steps / seconds:,.1f} step/s {self._documents / seconds:,.0f} docs/s"

    def _print(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is what the caller asked for


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _bar(total: int | None) -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = [TextColumn("Working..."), BarColumn()]
    counted = [MofNCompleteColumn()] if total is not None else [TextColumn("{task.completed}")]
    bar = Bar(
        *columns,
        *counted,
        TimeElapsedColumn(),
        TextColumn("{task.fields[rates]}"),
        console=Console(stderr=True),
        transient=True,
    )
    return bar, bar.add_task("", total=total, rates="")
