"""How long the stages of a method take, by names that the method gives them.

Whoever calls a method reads them; where nobody does, they cost next to nothing. Knows no clock but the host's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter

_current: ContextVar[dict[str, float] | None] = ContextVar("stages", default=None)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count the time spent in this block, by this thread or task, as a stage of the method that runs.

    Stages are shown beside the method's whole time in the Flow's figures. Those of one name add up; one inside another
    counts in both.

    Example:
        >>> with stage("tokenize"):
        ...     tokens = "A method does this first".split()
    """
    stages = _current.get()
    if stages is None:
        yield
        return
    begin = perf_counter()
    try:
        yield
    finally:
        stages[name] = stages.get(name, 0.0) + perf_counter() - begin


@contextmanager
def stages_into(stages: dict[str, float]) -> Iterator[None]:
    """Add the stages of what runs in this block to `stages`, name -> seconds."""
    token = _current.set(stages)
    try:
        yield
    finally:
        _current.reset(token)
