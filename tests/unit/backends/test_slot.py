"""A replica's place: when it is started again, and what is told of one that was not started. Starts no process."""

import pytest

from dure.backends import slot as slot_module
from dure.backends.slot import Slot, not_ready
from dure.errors import SpecError, StartFailed
from dure.transport.failure import take_apart
from dure.worker.assignment import Assignment


class Clock:
    """The monotonic clock, told the time."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(slot_module, "time", clock)
    return clock


def slot(replicas: int = 1) -> Slot:
    assignment = Assignment(
        sys_path=[],
        name="encoder",
        replica=replicas - 1,
        replicas=replicas,
        hosted=[],
        device=None,
        context=None,
        concurrency=1,
        cache_size=0,
        address="",
    )
    return Slot(assignment, {})


def test_a_replica_has_a_number_where_there_are_several() -> None:
    assert (slot().label, slot(3).label, slot(3).name) == ("encoder", "encoder/2", "encoder")


def test_it_is_started_again_at_once_then_with_growing_pauses_then_not(clock: Clock) -> None:
    place = slot()
    pauses = []
    for _ in range(4):
        place.died()
        assert place.restart_at is not None
        pauses.append(place.restart_at - clock.now)
        place.restart_at = None
    assert pauses == [0, 0.5, 1, 2]
    assert place.given_up == ""
    place.died()
    assert place.restart_at is None
    assert place.given_up == "died 5 times in 60 s"


def test_deaths_of_long_ago_are_forgotten(clock: Clock) -> None:
    place = slot()
    for _ in range(20):
        place.died()
        assert place.restart_at == clock.now
        clock.now += 61
    assert place.given_up == ""


def test_what_died_serves_no_more(clock: Clock) -> None:
    place = slot()
    place.attached = place.ready = place.wanted = True
    place.died()
    assert (place.attached, place.ready, place.serves) == (False, False, False)


def test_who_is_retired_is_not_started_again(clock: Clock) -> None:
    place = slot()
    place.wanted = True
    place.died()
    place.retire()
    assert (place.wanted, place.restart_at) == (False, None)


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except type(error) as caught:
        return slot().failed_to_start(take_apart(caught))


def test_what_a_constructor_raised_is_the_cause() -> None:
    failure = raised(RuntimeError("no such weights"))
    assert isinstance(failure, StartFailed)
    assert "the Executor encoder could not be constructed: RuntimeError: no such weights" in str(failure)
    assert "test_slot.py" in str(failure), "its traceback"
    assert isinstance(failure.__cause__, RuntimeError)
    assert str(failure.__cause__) == "no such weights"


def test_an_error_of_dure_stays_itself_and_says_where() -> None:
    failure = raised(SpecError("uses_with.x: no such argument"))
    assert isinstance(failure, SpecError)
    assert failure.__notes__ == ["raised while the Executor encoder was started, in its worker"]


def test_who_was_not_ready_in_time_is_named() -> None:
    error = not_ready({"encoder/0": None, "encoder/1": None}, 2.5)
    assert str(error) == "not ready after 2.5 s: encoder/0, encoder/1 (timeout_ready_s is the limit)"
