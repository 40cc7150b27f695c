"""How long a worker has been at one call, on a clock that is told the time. No sockets."""

from typing import Any

import pytest

from dure.gateway import replica as replica_module
from dure.gateway.figures import ExecutorFigures
from dure.gateway.job import Job, Order
from dure.gateway.pace import Pace
from dure.gateway.replica import Replica
from dure.spec import BatchSpec
from dure.transport.frames import Frame, Kind
from dure.transport.messages import (
    VERSION,
    BatchReply,
    EndpointInfo,
    Leave,
    Outcome,
    Part,
    Spent,
    WorkerHello,
    encode,
)


class Owner:
    """Hears of a replica, and remembers what came back."""

    def __init__(self) -> None:
        self.figures = ExecutorFigures()
        self.pace = Pace()
        self.back: list[Job] = []

    def replica_ready(self, replica: Replica) -> None:
        """It can be used."""

    def replica_free(self, replica: Replica) -> None:
        """It could do more."""

    def replica_leaves(self, replica: Replica, waiting: list[Job]) -> None:
        self.back += waiting

    def replica_lost(self, replica: Replica) -> None:
        """It is gone."""


class Worker:
    """The other end of a replica's connection, and the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, concurrent: bool = False, concurrency: int = 1) -> None:
        self.now = 100.0
        self.owner = Owner()
        monkeypatch.setattr(replica_module, "monotonic", lambda: self.now)
        self.replica = Replica(0, "nowhere", self.owner)
        monkeypatch.setattr(self.replica.connection, "send", lambda *_: None)
        monkeypatch.setattr(self.replica.connection, "close", lambda: None)
        info = EndpointInfo(BatchSpec(), concurrent)
        hello = WorkerHello(VERSION, "one", {"/a": info}, concurrency + 1, 2, concurrency)
        self.say(Kind.HELLO, 0, hello)

    def say(self, kind: Kind, number: int, message: Any) -> None:
        self.replica._on_frame(self.replica.connection, Frame(kind, number, encode(message), memoryview(b"")))

    def send(self, *, stream: bool = False) -> Job:
        job = Job("/a", b"", "columns", 1, [b""], stream, lambda _: None, lambda _: None)
        self.replica.send([job], self.now)
        return job

    def answer(self, number: int) -> None:
        self.say(Kind.REPLY, number, BatchReply([Outcome(False, 1, 0, b"")], Spent()))


def test_who_has_nothing_to_do_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(monkeypatch)
    worker.now += 50
    assert worker.replica.silent_s() is None
    worker.send()
    worker.now += 3
    assert worker.replica.silent_s() == 3
    worker.answer(1)
    assert worker.replica.silent_s() is None


def test_one_call_after_the_other_is_counted_from_the_last_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(monkeypatch)
    worker.send()
    worker.send()
    worker.now += 3
    worker.answer(1)
    assert worker.replica.silent_s() == 0
    worker.now += 2
    assert worker.replica.silent_s() == 2


def test_answers_of_others_do_not_hide_one_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(monkeypatch, concurrent=True, concurrency=2)
    worker.send()
    for number in range(2, 12):
        worker.send()
        worker.now += 1
        worker.answer(number)
    assert worker.replica.silent_s() == 10


def test_a_part_of_a_stream_is_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(monkeypatch, concurrent=True)
    worker.send(stream=True)
    worker.send(stream=True)
    worker.now += 3
    worker.say(Kind.PART, 2, Part(1))
    assert worker.replica.silent_s() == 3, "of that stream alone"
    worker.say(Kind.PART, 1, Part(1))
    assert worker.replica.silent_s() == 0


def test_a_stream_that_is_held_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(monkeypatch, concurrent=True)
    job = worker.send(stream=True)
    job.hold(held=True)
    worker.now += 60
    assert worker.replica.silent_s() == 0
    job.hold(held=False)
    worker.now += 2
    assert worker.replica.silent_s() == 2
    job.hold(held=True)
    worker.answer(1)
    worker.send()
    worker.now += 1
    assert worker.replica.silent_s() == 1, "what was held is over"


def test_to_withdraw_a_call_does_not_make_it_end(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(monkeypatch, concurrent=True)
    job = worker.send()
    worker.now += 3
    assert job.tell is not None
    job.withdrawn = True
    job.tell(Order.CANCEL)
    assert worker.replica.silent_s() == 3


def test_who_takes_leave_gives_back_what_was_not_begun_and_is_watched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(monkeypatch, concurrent=True, concurrency=2)
    begun, waiting = worker.send(), worker.send()
    worker.now += 3
    worker.say(Kind.LEAVE, 0, Leave([1]))
    assert worker.owner.back == [waiting]
    assert worker.replica.in_flight == {1: [begun]}
    assert worker.replica.silent_s() == 3


def test_what_would_only_wait_is_sent_shortly_before_the_call_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(monkeypatch)
    for number in range(1, 40):
        first = worker.send()
        worker.now += 0.1
        worker.answer(number)
    assert worker.replica.early_s(first, worker.now) == 0, "it has nothing to do"
    next_ = worker.send()
    assert worker.replica.early_s(next_, worker.now) == pytest.approx(0.085)
    worker.now += 0.05
    assert worker.replica.early_s(next_, worker.now) == pytest.approx(0.035)
    worker.now += 0.036
    assert worker.replica.early_s(next_, worker.now) == 0
    worker.now += 5
    assert worker.replica.early_s(next_, worker.now) == 0, "it takes longer than it was thought to"


def test_while_calls_are_short_or_nobody_knows_it_is_sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(monkeypatch)
    unknown = worker.send()
    assert worker.replica.early_s(unknown, worker.now) == 0
    worker.now += 0.005
    worker.answer(1)
    for number in range(2, 40):
        worker.send()
        worker.now += 0.005
        worker.answer(number)
    assert worker.replica.early_s(worker.send(), worker.now) == 0


@pytest.mark.parametrize(("error", "num_begun"), [(None, 1), (ConnectionResetError(), 1), (TimeoutError(), 3)])
def test_of_a_worker_out_of_reach_all_may_have_begun(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None, num_begun: int
) -> None:
    worker = Worker(monkeypatch)
    jobs = [worker.send() for _ in range(3)]
    worker.replica.connection._on_closed = lambda connection: None
    worker.replica.connection.connection_lost(error)
    begun, waiting = worker.replica.abandon()
    assert (begun, waiting) == (jobs[:num_begun], jobs[num_begun:])
