"""Whether a worker is there: when it is asked, and what is told of its silence. A worker is the end of a real pipe."""

from collections.abc import Iterator
from typing import Any

import pytest

from dure.backends import pulse as pulse_module
from dure.backends.processor_time import processor_time_s
from dure.backends.pulse import Pulse
from dure.backends.slot import Slot
from dure.transport.control import Control
from dure.worker.assignment import ALIVE
from tests.unit.backends.test_slot import Clock, slot


class Child:
    """As much of a process as is looked at: its pipe, and its number. This one works as little as can be."""

    def __init__(self, control: Control, pid: int = 0) -> None:
        self.control = control
        self.pid = pid

    def processor_time_s(self) -> float | None:
        return processor_time_s(self.pid)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pulse_module, "time", clock)
    return clock


@pytest.fixture
def place() -> Iterator[tuple[Slot, Control]]:
    ours, theirs = Control.pair()
    found: Any = slot()
    found.child, found.ready, found.wanted = Child(ours), True, True
    yield found, theirs
    ours.close()
    theirs.close()


def test_who_does_not_answer_is_silent_within_two_seconds_until_it_is_heard(
    clock: Clock, place: tuple[Slot, Control]
) -> None:
    one, worker = place
    told: list[bool] = []
    pulse = Pulse(lambda slot: told.append(slot.silent), lambda slot: pytest.fail("nobody knows whether it works"))
    began = clock.now
    pulse.look([one])
    assert worker.receive() == ALIVE
    while not told:
        moment = pulse.next_moment([one])
        assert moment is not None
        clock.now = max(moment, clock.now) + 0.001
        pulse.look([one])
    assert clock.now - began < 2.0
    clock.now += 60
    pulse.look([one])
    assert told == [True], "told once"
    pulse.heard(one)
    assert told == [True, False]


def test_who_answers_is_asked_again(clock: Clock, place: tuple[Slot, Control]) -> None:
    one, worker = place
    pulse = Pulse(*[lambda slot: pytest.fail("nobody is silent")] * 2)
    for _ in range(5):
        pulse.look([one])
        assert worker.receive() == ALIVE
        pulse.heard(one)
        moment = pulse.next_moment([one])
        assert moment is not None
        assert moment > clock.now
        clock.now = moment


def test_nobody_is_asked_who_is_not_ready(clock: Clock, place: tuple[Slot, Control]) -> None:
    one, _ = place
    one.ready = False
    pulse = Pulse(*[lambda slot: pytest.fail("nobody is silent")] * 2)
    assert pulse.next_moment([one]) is None
    pulse.look([one])
    assert one.pulse_asked_at == 0.0


def test_who_neither_answers_nor_works_is_ended_within_five_seconds(
    clock: Clock, place: tuple[Slot, Control], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = place
    spent = 1.0
    monkeypatch.setattr(one.child, "processor_time_s", lambda: spent)
    ended: list[float] = []
    pulse = Pulse(lambda slot: None, lambda slot: ended.append(clock.now))

    def for_a_while(seconds: float, work_s: float) -> None:
        nonlocal spent
        until = clock.now + seconds
        while clock.now < until:
            pulse.look([one])
            moment = pulse.next_moment([one])
            assert moment is not None
            assert moment > clock.now - 0.01, "it would look without a pause"
            clock.now = max(moment, clock.now) + 0.001
            spent += work_s

    for_a_while(20, 0.01)
    assert one.silent
    assert not ended, "it works"
    began = clock.now
    for_a_while(5, 0)
    assert len(ended) == 1
    assert ended[0] - began < 5
    for_a_while(5, 0)
    assert len(ended) > 1, "it did not end at once"
