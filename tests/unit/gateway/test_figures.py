"""What is counted and timed in the gateway."""

from typing import Any

import pytest

from dure.errors import (
    Cancelled,
    DeadlineExceeded,
    DureError,
    ExecutorError,
    QueueFull,
    ReplicaUnavailable,
    TooLarge,
    WorkerCrashed,
)
from dure.gateway.figures import COUNTS, SECONDS, STAGES, ExecutorFigures, Histogram, RequestFigures, outcome_of
from dure.gateway.job import Job
from dure.transport.messages import Spent


def job(
    *, arrived_at: float = 0.0, sent_at: float = 0.0, rows: int = 1, cost: float = 1.0, longest: float = 1.0
) -> Job:
    def never(*_: Any) -> None:
        raise AssertionError("counting calls nobody")

    made = Job("/a", b"", "columns", rows, [b""], False, never, never)
    made.arrived_at, made.sent_at, made.cost, made.longest = arrived_at, sent_at, cost, longest
    return made


def test_a_value_falls_into_the_first_bucket_that_holds_it() -> None:
    histogram = Histogram((1, 2, 4))
    for value in (0.5, 1, 1.5, 4, 5):
        histogram.observe(value)
    histogram.observe(2, times=10)
    assert histogram.counts == [2, 11, 1, 1]
    assert histogram.sum == 32


def test_bounds_ascend() -> None:
    for bounds in (SECONDS, COUNTS, ExecutorFigures().batch_cost.bounds, ExecutorFigures().padding.bounds):
        assert list(bounds) == sorted(set(bounds))


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (None, "answered"),
        (ExecutorError("x"), "failed"),
        (WorkerCrashed("x"), "failed"),
        (TooLarge("x"), "failed"),
        (DeadlineExceeded("x"), "expired"),
        (QueueFull("x"), "refused"),
        (ReplicaUnavailable("x"), "refused"),
        (Cancelled("x"), "cancelled"),
    ],
)
def test_what_became_of_a_request(error: DureError | None, word: str) -> None:
    figures = RequestFigures()
    figures.finished(error, 0.5)
    assert outcome_of(error) == word
    assert figures.outcomes == {word: 1}
    assert (figures.seconds.sum, sum(figures.seconds.counts)) == (0.5, 1)


def test_who_is_gone_has_no_duration() -> None:
    figures = RequestFigures()
    figures.cancelled()
    assert figures.outcomes == {"cancelled": 1}
    assert sum(figures.seconds.counts) == 0


def test_every_request_of_a_batch_has_spent_what_the_batch_has() -> None:
    figures = ExecutorFigures()
    spent = Spent(decode_s=1, compute_s=2, encode_s=4, num_calls=1, num_cached=3, stages={"tokenize": 0.5})
    figures.served(0, [job(arrived_at=1, sent_at=3), job(arrived_at=2, sent_at=3)], spent, 8)
    sums = {name: figures.stages[name].sum for name in STAGES}
    assert sums == {"queue": 2 + 1, "wait": 16, "decode": 2, "compute": 4, "encode": 8}
    assert all(sum(figures.stages[name].counts) == 2 for name in STAGES)
    assert figures.method_stages["tokenize"].sum == 1
    assert (figures.num_calls, figures.num_cached) == (1, 3)


def test_busy_is_the_time_of_batches_by_replica() -> None:
    figures = ExecutorFigures()
    for replica, seconds in ((0, 1.0), (1, 2.0), (1, 4.0)):
        figures.served(replica, [job(), job()], Spent(compute_s=seconds), 0)
    assert figures.busy_s == {0: 1, 1: 6}


def test_sizes_of_batches() -> None:
    figures = ExecutorFigures()
    figures.served(0, [job(rows=3, cost=3), job(rows=5, cost=5)], Spent(), 0)
    figures.served(0, [job(rows=1)], Spent(), 0)
    assert (figures.batch_requests.sum, sum(figures.batch_requests.counts)) == (3, 2)
    assert (figures.batch_rows.sum, sum(figures.batch_rows.counts)) == (9, 2)
    assert sum(figures.padding.counts) == sum(figures.batch_cost.counts) == 0, "by rows nothing is padded"


def test_padding_is_what_the_longest_adds_to_the_others() -> None:
    figures = ExecutorFigures()
    figures.served(0, [job(cost=10, longest=10), job(rows=2, cost=30, longest=20)], Spent(), 0)
    assert figures.batch_cost.sum == 40
    assert figures.padding.sum == pytest.approx(1 - 40 / 60)
    figures.served(0, [job(cost=20, longest=20)], Spent(), 0)
    assert figures.padding.counts[0] == 1, "alone, nothing is"


def test_what_costs_nothing_is_not_padded() -> None:
    figures = ExecutorFigures()
    figures.served(0, [job(rows=2, cost=0, longest=0)], Spent(), 0)
    assert figures.padding.sum == 0


def test_refused_requests_by_cause() -> None:
    figures = ExecutorFigures()
    for error in (QueueFull("x"), QueueFull("y"), DeadlineExceeded("z")):
        figures.refuse(error)
    assert figures.refused == {"queue_full": 2, "deadline_exceeded": 1}
