"""Which requests go into the next batch: whatever stands in the queue, in whatever order."""

from collections import deque
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dure.gateway.job import Job
from dure.gateway.scheduler import compose


def job(
    rows: int = 1, endpoint: str = "/a", parameters: bytes = b"", branches: int = 1, *, withdrawn: bool = False
) -> Job:
    def never(*_: Any) -> None:
        raise AssertionError("composing calls nobody")

    return Job(
        endpoint=endpoint,
        parameters=parameters,
        form="columns",
        rows=rows,
        payloads=[b""] * branches,
        stream=False,
        on_part=never,
        on_done=never,
        withdrawn=withdrawn,
    )


jobs = st.lists(
    st.builds(
        job,
        rows=st.integers(0, 6),
        endpoint=st.sampled_from(["/a", "/a", "/a", "/b"]),
        parameters=st.sampled_from([b"", b"", b"p"]),
        branches=st.sampled_from([1, 1, 1, 2]),
        withdrawn=st.sampled_from([False, False, False, True]),
    ),
    max_size=12,
)


@given(jobs, st.integers(1, 12), st.booleans())
def test_a_batch_is_the_head_of_the_queue_and_fits(waiting: list[Job], limit: int, idle: bool) -> None:
    queue = deque(waiting)
    batch = compose(queue, lambda _: limit, idle=idle)
    taken = waiting[: len(waiting) - len(queue)]
    assert list(queue) == waiting[len(taken) :], "the order is kept"
    assert batch == [one for one in taken if not one.withdrawn], "nothing but what was withdrawn is lost"
    if batch:
        assert len({(one.endpoint, one.parameters) for one in batch}) == 1
        assert len(batch) == 1 or all(len(one.payloads) == 1 for one in batch)
        assert len(batch) == 1 or sum(one.rows for one in batch) <= limit
    else:
        assert all(one.withdrawn for one in taken)
        assert not queue or not idle, "an idle replica gets what there is"


@given(jobs, st.integers(1, 12))
def test_everything_is_sent_once(waiting: list[Job], limit: int) -> None:
    queue, sent = deque(waiting), []
    while batch := compose(queue, lambda _: limit, idle=True):
        sent += batch
    assert not queue
    assert sent == [one for one in waiting if not one.withdrawn]


def test_requests_that_merge_fill_a_batch() -> None:
    queue = deque(job(rows=2) for _ in range(5))
    assert [one.rows for one in compose(queue, lambda _: 7, idle=True)] == [2, 2, 2]
    assert len(queue) == 2


def test_a_larger_request_goes_alone() -> None:
    queue = deque([job(rows=50), job(rows=1)])
    assert [one.rows for one in compose(queue, lambda _: 10, idle=True)] == [50]


def test_without_batching_each_goes_alone() -> None:
    queue = deque([job(), job()])
    assert len(compose(queue, lambda _: 1, idle=True)) == 1


def test_who_does_not_merge_ends_the_batch() -> None:
    for other in (job(endpoint="/b"), job(parameters=b"p"), job(branches=2)):
        queue = deque([job(), other, job()])
        assert len(compose(queue, lambda _: 10, idle=True)) == 1


def test_a_batch_that_could_grow_waits_while_the_replica_is_busy() -> None:
    queue = deque([job(), job()])
    assert compose(queue, lambda _: 3, idle=False) == []
    assert len(queue) == 2
    queue.append(job())
    assert len(compose(queue, lambda _: 3, idle=False)) == 3


def test_a_batch_that_cannot_grow_does_not_wait() -> None:
    queue = deque([job(), job(endpoint="/b")])
    assert len(compose(queue, lambda _: 3, idle=False)) == 1


def test_the_limit_is_that_of_the_first_request() -> None:
    limits = {"/a": 2, "/b": 3}
    queue = deque([job(endpoint="/b") for _ in range(4)])
    assert len(compose(queue, lambda one: limits[one.endpoint], idle=True)) == 3
