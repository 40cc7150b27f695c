"""The thread that watches: what wakes it, and that it ends."""

import os
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from dure.backends.watcher import Watcher

TIMEOUT_S = 20.0


class Watching:
    """A Watcher, and what it did."""

    def __init__(self) -> None:
        self.moment: float | None = None
        self.turns: list[float] = []
        self.errors: list[Exception] = []
        self.failed = threading.Event()
        self.watcher = Watcher(lambda: self.moment, self._turn, self._error)

    def _turn(self) -> None:
        self.turns.append(time.monotonic())

    def _error(self, error: Exception) -> None:
        self.errors.append(error)
        self.failed.set()


@pytest.fixture
def watching() -> Iterator[Watching]:
    watching = Watching()
    yield watching
    watching.watcher.end(TIMEOUT_S)
    watching.watcher.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


def test_orders_are_done_in_their_order_by_one_thread(watching: Watching) -> None:
    done: list[tuple[int, str]] = []

    def note(i: int) -> None:
        done.append((i, threading.current_thread().name))

    for i in range(100):
        watching.watcher.order(partial(note, i))
    assert done == [], "nothing is done before it is started"
    watching.watcher.start()
    watching.watcher.do(lambda: None, TIMEOUT_S)
    assert [i for i, _ in done] == list(range(100))
    assert {name for _, name in done} == {"dure-supervisor"}


def test_whoever_wants_to_may_wait_for_what_is_done_but_not_for_ever(watching: Watching) -> None:
    done: list[str] = []
    watching.watcher.do(lambda: done.append("late"), 0.01)
    assert done == [], "the thread has not been started"
    watching.watcher.start()
    watching.watcher.do(lambda: done.append("now"), TIMEOUT_S)
    assert done == ["late", "now"]


def test_whoever_has_something_to_read_is_called(watching: Watching, pipe: tuple[int, int]) -> None:
    heard, come = [], threading.Event()

    def hear() -> None:
        heard.append(os.read(pipe[0], 1))
        come.set()

    watching.watcher.watch(pipe[0], hear)
    watching.watcher.start()
    for word in (b"a", b"b"):
        come.clear()
        os.write(pipe[1], word)
        assert come.wait(TIMEOUT_S)
    assert heard == [b"a", b"b"]


def test_who_is_forgotten_is_not_called(watching: Watching, pipe: tuple[int, int]) -> None:
    heard: list[str] = []
    watching.watcher.watch(pipe[0], lambda: heard.append("called"))
    watching.watcher.forget(pipe[0])
    watching.watcher.forget(pipe[0])
    watching.watcher.start()
    os.write(pipe[1], b"x")
    watching.watcher.do(lambda: None, TIMEOUT_S)
    assert heard == []


def test_one_that_an_event_of_the_same_round_has_forgotten_is_not_called(
    watching: Watching, pipe: tuple[int, int]
) -> None:
    other_read, other_write = os.pipe()
    heard: list[str] = []

    def only_one(name: str) -> None:
        heard.append(name)
        for file in (pipe[0], other_read):
            watching.watcher.forget(file)

    watching.watcher.watch(pipe[0], lambda: only_one("first"))
    watching.watcher.watch(other_read, lambda: only_one("other"))
    os.write(pipe[1], b"x")
    os.write(other_write, b"x")
    watching.watcher.start()
    watching.watcher.do(lambda: None, TIMEOUT_S)
    assert len(heard) == 1
    os.close(other_read)
    os.close(other_write)


def test_it_wakes_at_the_next_moment_and_otherwise_sleeps(watching: Watching) -> None:
    watching.watcher.start()
    woken = threading.Event()
    begin = time.monotonic()

    def at_last() -> None:
        watching._turn()
        if watching.moment is not None and time.monotonic() >= watching.moment:
            watching.moment = None
            woken.set()

    watching.watcher._on_turn = at_last
    watching.watcher.do(lambda: setattr(watching, "moment", begin + 0.1), TIMEOUT_S)
    assert woken.wait(TIMEOUT_S)
    assert watching.turns[-1] >= begin + 0.1
    turns = len(watching.turns)
    time.sleep(0.05)
    assert len(watching.turns) == turns, "with nothing to wait for it does not wake"


def test_a_moment_that_has_passed_does_not_keep_it_from_ending(watching: Watching) -> None:
    watching.moment = time.monotonic() - 1
    watching.watcher.start()
    watching.watcher.end(TIMEOUT_S)
    assert not any(thread.name == "dure-supervisor" for thread in threading.enumerate())


def test_what_a_callback_raises_is_told_and_ends_it(watching: Watching) -> None:
    watching.watcher.start()
    watching.watcher.order(lambda: [][0])
    assert watching.failed.wait(TIMEOUT_S)
    assert [type(error) for error in watching.errors] == [IndexError]
    watching.watcher.end(TIMEOUT_S)


def test_it_may_be_ended_without_having_been_started_and_closed_twice() -> None:
    watcher = Watcher(lambda: None, lambda: None, lambda _: None)
    watcher.end(TIMEOUT_S)
    assert watcher.is_open
    watcher.close()
    watcher.close()
    assert not watcher.is_open
