"""The ledger of moves between contexts, and the guard that forbids them.

Whatever in dure carries data from one context to another is a `Move`. Knows bytes, seconds and the
line that asked; does not know what an array is. A ledger or a guard holds for the code inside its
`with` block, and for the tasks and threads started there that inherit its context variables
(`asyncio.create_task` and `asyncio.to_thread` see to that, a bare `threading.Thread` does not).
"""

import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from dure.device.context import Context
from dure.errors import TransferForbidden

if TYPE_CHECKING:
    from types import FrameType

T = TypeVar("T")

_OWN = f"{Path(__file__).parent.parent}{os.sep}"
_HERE = f"{Path(__file__).parent}{os.sep}"
_STANDARD = (sysconfig.get_path("stdlib"), "<frozen")
_INSTALLED = ("site-packages", "dist-packages")
_EVENT_LOOP = f"{os.sep}uvloop{os.sep}"  # runs what others asked for, as the standard library's does


class Route(NamedTuple):
    """From where to where, and which line (`file:line`) or part of dure asked."""

    source: Context
    target: Context
    where: str


@dataclass(frozen=True, slots=True)
class Moved:
    """What went along one route: how often, how much, and how long it took."""

    num_moves: int = 0
    num_bytes: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Moved") -> "Moved":
        return Moved(
            self.num_moves + other.num_moves,
            self.num_bytes + other.num_bytes,
            self.seconds + other.seconds,
        )


class Transfers:
    """A ledger: the moves of one `with transfers()` block. Any thread may write to it.

    Args:
        routes: What it begins with. A copy or a pickle of a ledger is one that holds what this one holds now.
    """

    def __init__(self, routes: Mapping[Route, Moved] | None = None) -> None:
        self._routes = dict(routes or {})
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["Transfers"], tuple[dict[Route, Moved]]]:
        return type(self), (self.routes,)

    def record(self, route: Route, moved: Moved) -> None:
        """Add to what went along `route`."""
        with self._lock:
            self._routes[route] = self._routes.get(route, Moved()) + moved

    @property
    def routes(self) -> dict[Route, Moved]:
        """What went along each route, in the order of their first use."""
        with self._lock:
            return dict(self._routes)

    @property
    def total(self) -> Moved:
        """Everything together."""
        return sum(self.routes.values(), Moved())

    def between(self, source: Context, target: Context) -> Moved:
        """Return what went from `source` to `target`, wherever it was asked for."""
        fitting = (moved for route, moved in self.routes.items() if route.source == source and route.target == target)
        return sum(fitting, Moved())

    @property
    def num_moves(self) -> int:
        """How many moves there were."""
        return self.total.num_moves

    @property
    def num_bytes(self) -> int:
        """How many bytes they carried."""
        return self.total.num_bytes

    @property
    def seconds(self) -> float:
        """How long they took, one after the other."""
        return self.total.seconds

    def __str__(self) -> str:
        total = self.total
        if not total.num_moves:
            return "Nothing moved."
        rows = [("from", "to", "moves", "bytes", "seconds", "where")]
        for route, moved in [*self.routes.items(), (None, total)]:
            source, target, where = route or ("total", "", "")
            figures = (str(moved.num_moves), f"{moved.num_bytes:,}", f"{moved.seconds:.6f}")
            rows.append((str(source), str(target), *figures, where))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(_line(row, widths) for row in rows)


@dataclass(frozen=True, slots=True)
class _Watch:
    ledgers: tuple[Transfers, ...] = ()
    forbidden_at: str = ""


_WATCH: ContextVar[_Watch | None] = ContextVar("dure_transfers", default=None)
_ASKER: ContextVar[str] = ContextVar("dure_transfers_asker", default="")


@contextmanager
def transfers() -> Iterator[Transfers]:
    """Count the moves made inside the block; printing the ledger prints a table.

    Blocks nest: an outer one counts what an inner one counts. Where a device works on its own, a
    counted move waits for it before and after, so that the seconds are the move's alone.
    """
    ledger = Transfers()
    watch = _WATCH.get() or _Watch()
    token = _WATCH.set(replace(watch, ledgers=(*watch.ledgers, ledger)))
    try:
        yield ledger
    finally:
        _WATCH.reset(token)


@contextmanager
def no_transfers() -> Iterator[None]:
    """Forbid moves inside the block: the line that would move data raises `TransferForbidden`."""
    watch = _WATCH.get() or _Watch()
    token = _WATCH.set(replace(watch, forbidden_at=asking_line()))
    try:
        yield
    finally:
        _WATCH.reset(token)


class asked_by:  # noqa: N801  (used as a function; a generator would take three times as long, for every request)
    """Name what asks for the moves made inside the block, where that is dure itself and no line of a program.

    Args:
        who: Stands where else the file and line would.
    """

    __slots__ = ("_token", "_who")

    def __init__(self, who: str) -> None:
        self._who = who

    def __enter__(self) -> None:
        self._token = _ASKER.set(self._who)

    def __exit__(self, *_: object) -> None:
        _ASKER.reset(self._token)


@dataclass(frozen=True, slots=True)
class Move:
    """A move that is about to be made.

    `settle` waits until the devices at both ends are idle; it is called only where time is taken.
    """

    source: Context
    target: Context
    num_bytes: int
    settle: Callable[[], None] | None = None

    def make(self, copy: Callable[[], T]) -> T:
        """Call `copy`, which carries the data, and count it where somebody listens.

        Raises:
            TransferForbidden: Inside `no_transfers()`; `copy` is not called.
        """
        watch = _WATCH.get()
        if watch is None or self.source == self.target:
            return copy()
        where = asking_line()
        if watch.forbidden_at:
            raise TransferForbidden(
                f"{where}: {self.num_bytes:,} bytes would move from {self.source} to {self.target}"
                f" inside the no_transfers() of {watch.forbidden_at}."
            )
        if self.settle is not None:
            self.settle()
        begin = perf_counter()
        result = copy()
        if self.settle is not None:
            self.settle()
        moved = Moved(1, self.num_bytes, perf_counter() - begin)
        for ledger in watch.ledgers:
            ledger.record(Route(self.source, self.target, where), moved)
        return result


def asking_line() -> str:
    """Return `file:line` of the nearest caller outside dure and the standard library, or who `asked_by` names.

    Where there is none (dure itself runs the program): the nearest line of dure above this package.
    """
    if asker := _ASKER.get():
        return asker
    frame: FrameType | None = sys._getframe(1)
    inside = ""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_OWN):
            if not inside and not name.startswith(_HERE):
                inside = f"{name}:{frame.f_lineno}"
        elif _is_program(name):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return inside


def _is_program(file: str) -> bool:
    if any(part in file for part in _INSTALLED):
        return _EVENT_LOOP not in file
    return not file.startswith(_STANDARD)


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    source, target, *figures, where = row
    cells = [source.ljust(widths[0]), target.ljust(widths[1])]
    cells += [figure.rjust(width) for figure, width in zip(figures, widths[2:], strict=False)]
    return "  ".join([*cells, where]).rstrip()
