"""How many replicas are wanted, on a clock that is told the time."""

from hypothesis import given
from hypothesis import strategies as st

from dure.gateway.autoscaler import LOOK_S, Autoscaler, Load

LONG, SHORT = 1.5, 0.5


class Watch:
    """Looks at a load every `LOOK_S`, as the dispatcher does, and starts and ends replicas at once."""

    def __init__(self, least: int = 1, most: int = 3) -> None:
        self.scaler = Autoscaler(least, most)
        self.now = 100.0
        self.replicas = least
        self.asked: list[int] = []

    def look(self, seconds: float, *, wait_s: float, busy: int = 99, arrive: bool = True) -> list[int]:
        """Return what is asked for in some seconds of an unchanged load."""
        self.asked = []
        for _ in range(round(seconds / LOOK_S)):
            load = Load(self.now, wait_s, min(busy, self.replicas), self.replicas)
            wanted = self.scaler.decide(load)
            self.now += LOOK_S
            if wanted is not None:
                self.asked.append(wanted)
                if arrive:
                    self.replicas = wanted
        return self.asked


def test_more_while_requests_wait_long() -> None:
    watch = Watch(1, 3)
    assert watch.look(1.0, wait_s=LONG) == []
    assert watch.look(0.5, wait_s=LONG) == [2]
    assert watch.look(10, wait_s=LONG) == [3], "and no more than there may be"


def test_a_short_burst_asks_for_nothing() -> None:
    watch = Watch(1, 3)
    for _ in range(20):
        assert watch.look(1.0, wait_s=LONG) == []
        assert watch.look(0.5, wait_s=SHORT) == []


def test_what_one_more_brings_is_seen_before_another_is_asked_for() -> None:
    watch = Watch(1, 3)
    assert watch.look(10, wait_s=LONG, arrive=False) == [2], "it is still being started"
    watch.replicas = 2
    assert watch.look(1.0, wait_s=LONG) == []
    assert watch.look(0.5, wait_s=LONG) == [3]


def test_fewer_after_a_long_time_in_which_one_was_idle() -> None:
    watch = Watch(1, 3)
    watch.look(10, wait_s=LONG)
    assert watch.replicas == 3
    assert watch.look(30, wait_s=SHORT, busy=2) == []
    assert watch.look(0.5, wait_s=SHORT, busy=2) == [2]
    assert watch.look(120, wait_s=0, busy=0) == [1]
    assert watch.scaler.at_rest


def test_who_is_busy_now_and_then_stays() -> None:
    watch = Watch(1, 2)
    watch.look(5, wait_s=LONG)
    for _ in range(10):
        assert watch.look(29, wait_s=0, busy=1) == []
        assert watch.look(0.5, wait_s=SHORT, busy=2) == []
    assert not watch.scaler.at_rest


def test_a_replica_that_does_not_come_is_asked_for_again() -> None:
    watch = Watch(1, 3)
    watch.look(2, wait_s=LONG, arrive=False)
    asked = watch.look(65, wait_s=LONG, arrive=False)
    assert asked == [2, 2], "not more, and not all the time"


def test_a_replica_that_does_not_come_is_not_wanted_for_ever() -> None:
    watch = Watch(1, 3)
    watch.look(2, wait_s=LONG, arrive=False)
    assert watch.look(60, wait_s=0, busy=0, arrive=False)[-1] == 1
    assert watch.scaler.at_rest


def test_a_replica_too_many_is_asked_away_again() -> None:
    watch = Watch(1, 3)
    watch.replicas = 2  # it did not end when it was told to, or a swap came between
    assert watch.look(31, wait_s=SHORT) == [1]


def test_while_none_is_there_nothing_is_known() -> None:
    watch = Watch(1, 3)
    watch.look(2, wait_s=LONG)
    watch.replicas = 0  # all have died and are being started again
    assert set(watch.look(100, wait_s=0, arrive=False)) == {2}, "they do not idle"


def test_at_rest_from_the_start() -> None:
    watch = Watch(2, 3)
    assert watch.scaler.at_rest
    assert watch.look(100, wait_s=0, busy=0) == []
    assert watch.scaler.at_rest


loads = st.lists(
    st.tuples(st.floats(0, 5), st.integers(0, 9), st.integers(0, 9), st.floats(0.1, 40)), min_size=1, max_size=60
)


@given(loads, st.integers(1, 3), st.integers(0, 5))
def test_whatever_happens_the_limits_hold(seen: list[tuple[float, int, int, float]], least: int, more: int) -> None:
    scaler = Autoscaler(least, least + more)
    now, wanted = 0.0, least
    for wait_s, busy, replicas, pause_s in seen:
        now += pause_s
        told = scaler.decide(Load(now, wait_s, min(busy, replicas), replicas))
        if told is not None:
            assert least <= told <= least + more
            assert abs(told - wanted) <= 1
            wanted = told
        assert scaler.at_rest == (wanted == least)
