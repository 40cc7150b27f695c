"""A progress bar on standard error, for commands that take a while; nothing where nobody looks.

Knows rich; does not know what is under way.
"""

import contextlib
from collections.abc import Callable, Iterator

Advance = Callable[[int, int, str], None]
"""Told how much is done, of how much, and what there is to say of it."""


@contextlib.contextmanager
def bar(what: str, *, shown: bool | None = None) -> Iterator[Advance]:
    """Show how far something is.

    Args:
        what: What is under way.
        shown: Whether it is shown; None: if standard error is a terminal.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[told]}", markup=False),
    )
    is_shown = console.is_terminal if shown is None else shown
    with Progress(*columns, console=console, disable=not is_shown) as progress:
        task = progress.add_task(what, total=None, told="")

        def advance(done: int, total: int, told: str = "") -> None:
            progress.update(task, completed=done, total=total, told=told)

        yield advance
