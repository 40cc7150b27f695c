"""Which requests make the next batch: a pure function of the queue, the policy and the moment."""

from collections import defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dure.gateway.job import Job
from dure.gateway.scheduler import Choice, Queue, compose
from dure.spec import MAX_PRIORITY, BatchSpec


def job(endpoint: str = "/a", rows: int = 1, parameters: bytes = b"", payloads: int = 1, **fields: Any) -> Job:
    """Make a request; `each` is what each of its documents costs."""
    each = fields.pop("each", 1.0)
    costs = {"cost": each * rows, "longest": each} | fields
    body: list[Any] = [b""] * payloads
    return Job(endpoint, parameters, "columns", rows, body, False, lambda _: None, lambda _: None, **costs)


def chosen(queue: Queue, now: float = 0.0, *, idle: bool = True, share: float = 1.0, **settings: Any) -> list[Job]:
    spec = BatchSpec(**settings)
    return compose(queue, lambda _: spec, now, idle=idle, share=share).batch


# -- first come, first served ------------------------------------------------------------------------------------------


def test_nothing_waits() -> None:
    assert compose(Queue(), lambda _: BatchSpec(), 0.0, idle=True) == Choice([])


def test_equal_requests_merge_in_the_order_they_came() -> None:
    jobs = [job(), job(rows=3), job()]
    queue = Queue(jobs)
    assert chosen(queue, max_batch_size=10) == jobs
    assert not queue
    assert (len(queue), queue.rows) == (0, 0)


def test_a_batch_holds_so_many_rows_and_not_more() -> None:
    jobs = [job(rows=4), job(rows=4), job(rows=4), job(rows=1)]
    queue = Queue(jobs)
    assert chosen(queue, max_batch_size=8) == jobs[:2]
    assert list(queue) == jobs[2:]
    assert queue.rows == 5


def test_who_does_not_fit_is_not_passed_over_for_who_would() -> None:
    jobs = [job(rows=4), job(rows=8), job(rows=1)]
    assert chosen(Queue(jobs), max_batch_size=8) == jobs[:1]


def test_a_request_larger_than_a_batch_goes_alone() -> None:
    jobs = [job(rows=100), job()]
    queue = Queue(jobs)
    assert chosen(queue, max_batch_size=8) == jobs[:1]
    assert chosen(queue, max_batch_size=8) == jobs[1:]


def test_merging_none() -> None:
    jobs = [job(), job()]
    assert chosen(Queue(jobs), idle=False, max_batch_size=1) == jobs[:1]


def test_other_endpoints_parameters_and_joins_are_not_merged() -> None:
    others = [job("/b"), job(parameters=b"x"), job(payloads=2)]
    first, last = job(), job()
    queue = Queue([first, *others, last])
    assert chosen(queue, max_batch_size=10) == [first, last]
    assert list(queue) == others
    for one in others:
        assert chosen(queue, max_batch_size=10) == [one]


def test_a_join_stays_alone() -> None:
    queue = Queue([job(payloads=2), job(payloads=2)])
    assert len(chosen(queue, max_batch_size=10)) == 1


def test_the_limit_is_that_of_the_first_request() -> None:
    limits = {"/a": BatchSpec(max_batch_size=2), "/b": BatchSpec(max_batch_size=3)}
    queue = Queue(job("/b") for _ in range(4))
    assert len(compose(queue, lambda one: limits[one.endpoint], 0.0, idle=True).batch) == 3


def test_withdrawn_requests_are_left_out() -> None:
    jobs = [job() for _ in range(4)]
    queue = Queue(jobs)
    jobs[0].withdraw()
    jobs[2].withdraw()
    assert chosen(queue) == [jobs[1], jobs[3]]
    assert chosen(queue) == []
    assert queue.rows == 0


def test_what_is_put_back_comes_first() -> None:
    jobs = [job(), job(priority=1), job()]
    late = job()
    queue = Queue([late])
    queue.put_back(jobs)
    assert list(queue) == [jobs[1], jobs[0], jobs[2], late]
    assert queue.rows == 4


def test_everything_can_be_taken() -> None:
    jobs = [job(rows=2), job(priority=-1)]
    queue = Queue(jobs)
    assert queue.clear() == jobs
    assert (bool(queue), len(queue), queue.rows) == (False, 0, 0)


# -- when to wait ------------------------------------------------------------------------------------------------------


def test_a_batch_that_could_grow_is_left_to_grow_while_the_replica_is_busy() -> None:
    queue = Queue([job(), job()])
    assert chosen(queue, idle=False, max_batch_size=3) == []
    assert len(queue) == 2
    queue.append(job())
    assert len(chosen(queue, idle=False, max_batch_size=3)) == 3


def test_an_idle_replica_waits_as_long_as_it_is_told_to() -> None:
    queue = Queue([job(arrived_at=10.0), job(arrived_at=10.5)])
    spec = BatchSpec(max_batch_size=3, max_queue_delay_s=1.0)
    assert compose(queue, lambda _: spec, 10.75, idle=True) == Choice([], 11.0)
    assert len(queue) == 2
    assert len(compose(queue, lambda _: spec, 11.0, idle=True).batch) == 2


def test_a_full_batch_waits_for_nothing() -> None:
    queue = Queue(job() for _ in range(3))
    assert len(chosen(queue, max_batch_size=3, max_queue_delay_s=1.0)) == 3


def test_a_batch_at_its_cost_cannot_grow() -> None:
    for padding in (None, 0.5):
        queue = Queue([job(each=5.0), job(each=5.0)])
        found = chosen(queue, idle=False, cost="tokens", max_batch_cost=10, max_padding=padding)
        assert len(found) == 2


def test_what_is_left_to_others_is_no_reason_to_hurry() -> None:
    """With two replicas each takes half of what waits; a batch that is small for that reason may still grow."""
    queue = Queue([job(), job()])
    assert chosen(queue, idle=False, share=0.5, max_batch_size=3) == []
    assert chosen(queue, idle=True, share=0.5, max_batch_size=3, max_queue_delay_s=1.0) == []
    assert len(chosen(queue, idle=True, share=0.5, max_batch_size=3)) == 1


def test_a_replica_takes_its_share() -> None:
    queue = Queue(job(rows=2) for _ in range(10))
    assert sum(one.rows for one in chosen(queue, share=0.5)) == 10
    assert sum(one.rows for one in chosen(queue, share=0.25)) == 2, "of what is left, and never more than that"
    assert len(chosen(Queue([job(rows=8)]), share=0.1)) == 1, "but the first in line always"


# -- cost --------------------------------------------------------------------------------------------------------------


def test_a_batch_costs_so_much_and_not_more() -> None:
    jobs = [job(each=4.0), job(each=4.0), job(each=4.0)]
    assert chosen(Queue(jobs), cost="tokens", max_batch_cost=8) == jobs[:2]


def test_a_dearer_request_goes_alone() -> None:
    jobs = [job(each=4.0, rows=5), job(each=1.0)]
    assert chosen(Queue(jobs), cost="tokens", max_batch_cost=8) == jobs[:1]


def test_requests_of_like_cost_are_merged() -> None:
    jobs = [job(each=each) for each in (10.0, 100.0, 11.0, 95.0, 9.0)]
    queue = Queue(jobs)
    settings: dict[str, Any] = {"cost": "tokens", "max_padding": 0.15}
    assert set(map(id, chosen(queue, **settings))) == set(map(id, (jobs[0], jobs[2], jobs[4])))
    assert set(map(id, chosen(queue, **settings))) == set(map(id, (jobs[1], jobs[3])))


def test_the_budget_of_like_costs_counts_padding() -> None:
    jobs = [job(each=8.0), job(each=10.0), job(each=10.0)]
    assert len(chosen(Queue(jobs), cost="tokens", max_padding=0.5, max_batch_cost=20)) == 2, "2 * 10, not 8 + 10"


# -- preferred sizes ---------------------------------------------------------------------------------------------------


def test_a_batch_is_closed_at_a_preferred_size_when_more_waits() -> None:
    queue = Queue(job() for _ in range(30))
    sizes: dict[str, Any] = {"max_batch_size": 64, "preferred_batch_sizes": [4, 8]}
    assert [len(chosen(queue, **sizes)) for _ in range(4)] == [8, 8, 8, 6]


def test_the_largest_preferred_size_that_fits() -> None:
    queue = Queue(job() for _ in range(30))
    assert len(chosen(queue, max_batch_size=10, preferred_batch_sizes=[4, 8])) == 8


def test_of_a_share_as_well() -> None:
    queue = Queue(job() for _ in range(14))
    assert len(chosen(queue, share=0.5, preferred_batch_sizes=[4, 8])) == 4


# -- priorities --------------------------------------------------------------------------------------------------------


def test_the_higher_priority_first() -> None:
    low, high, higher = job("/a", priority=-1), job("/b", priority=1), job("/c", priority=2)
    queue = Queue([low, high, higher])
    assert [chosen(queue)[0] for _ in range(3)] == [higher, high, low]


def test_others_fill_the_batch_of_a_high_priority() -> None:
    low, high, later = job(priority=0), job(priority=5), job(priority=0)
    assert chosen(Queue([low, high, later])) == [high, low, later]


def test_nobody_waits_for_ever_behind_higher_priorities() -> None:
    old, new = job("/old", priority=-MAX_PRIORITY, arrived_at=0.0), job("/new", priority=MAX_PRIORITY, arrived_at=5.0)
    queue = Queue([old, new])
    spec = BatchSpec(max_passed_over_s=2.0)
    assert queue.first(lambda _: spec, 2.0) is new
    assert queue.first(lambda _: spec, 2.5) is old
    assert chosen(queue, 2.5, max_passed_over_s=2.0) == [old]


def test_of_two_that_are_overdue_the_older() -> None:
    younger, older = job(priority=1, arrived_at=1.0), job(priority=0, arrived_at=0.0)
    assert Queue([younger, older]).first(lambda _: BatchSpec(), 10.0) is older


# -- whatever comes ----------------------------------------------------------------------------------------------------

EACH = st.sampled_from((1.0, 5.0, 9.0, 10.0, 11.0, 30.0, 100.0, 500.0))
JOBS = st.lists(
    st.builds(
        job,
        st.sampled_from(("/a", "/b")),
        rows=st.integers(0, 12),
        parameters=st.sampled_from((b"", b"x")),
        payloads=st.sampled_from((1, 1, 1, 2)),
        priority=st.integers(-2, 2),
        arrived_at=st.floats(0, 10),
        each=EACH,
        withdrawn=st.sampled_from((False, False, False, True)),
    ),
    max_size=40,
)
SPECS = st.builds(
    lambda size, delay_s, cost, budget, padding, preferred, passed_over_s: BatchSpec(
        max_batch_size=size,
        max_queue_delay_s=delay_s,
        cost=cost,
        max_batch_cost=budget,
        max_padding=padding if cost == "tokens" else None,
        preferred_batch_sizes=[one for one in preferred if one <= size],
        max_passed_over_s=passed_over_s,
    ),
    st.integers(1, 32),
    st.sampled_from((0.0, 0.5)),
    st.sampled_from(("rows", "tokens")),
    st.none() | st.floats(1, 2000),
    st.none() | st.floats(0, 0.99),
    st.lists(st.integers(1, 32), max_size=3),
    st.floats(0.1, 20),
)


@given(JOBS, SPECS, st.floats(10, 12), st.booleans(), st.floats(0.01, 1))
def test_whatever_waits(jobs: list[Job], spec: BatchSpec, now: float, idle: bool, share: float) -> None:
    queue = Queue(jobs)
    alive = [one for one in jobs if not one.withdrawn]
    first = queue.first(lambda _: spec, now)
    choice = compose(queue, lambda _: spec, now, idle=idle, share=share)
    batch, left = choice.batch, [one for one in queue if not one.withdrawn]
    assert sorted(map(id, batch + left)) == sorted(map(id, alive)), "none is lost, none is there twice"
    assert queue.rows == sum(one.rows for one in queue)
    if not batch:
        assert first is None or not idle or (choice.wake_at is not None and choice.wake_at > now)
        return
    assert batch[0] is first, "the first in line is always in"
    assert all(one.merges_with(batch[0]) for one in batch[1:])
    assert len(batch) == 1 or within(batch, spec), "a batch of several keeps to every limit"


def within(batch: list[Job], spec: BatchSpec) -> bool:
    rows, cost = sum(one.rows for one in batch), sum(one.cost for one in batch)
    if rows > spec.max_batch_size:
        return False
    whole = cost if spec.max_padding is None else rows * max(one.longest for one in batch)
    padded = 0.0 if whole == cost else (whole - cost) / whole
    fits = spec.max_batch_cost is None or whole <= spec.max_batch_cost * (1 + 1e-9)
    return fits and padded <= (spec.max_padding or 0.0) + 1e-9


@given(JOBS, SPECS)
def test_everybody_is_served(jobs: list[Job], spec: BatchSpec) -> None:
    queue = Queue(jobs)
    served: list[Job] = []
    for _ in range(len(jobs) + 1):
        served += compose(queue, lambda _: spec, 1e9, idle=True).batch
    assert sorted(map(id, served)) == sorted(id(one) for one in jobs if not one.withdrawn)
    assert not queue or all(one.withdrawn for one in queue)


@given(JOBS, SPECS.filter(lambda spec: spec.max_padding is None))
def test_equals_are_served_in_the_order_they_came(jobs: list[Job], spec: BatchSpec) -> None:
    queue = Queue(jobs)
    order: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for _ in range(len(jobs) + 1):
        for one in compose(queue, lambda _: spec, 0.0, idle=True).batch:
            order[one.endpoint, one.parameters, len(one.payloads), one.priority].append(jobs.index(one))
    assert all(places == sorted(places) for places in order.values())


@given(st.lists(EACH, min_size=1, max_size=40), st.floats(0, 0.9))
def test_the_first_in_line_is_not_passed_over_for_a_better_batch(each: list[float], padding: float) -> None:
    """However badly it fits with the others: so nobody waits for longer than there are requests before it."""
    jobs = [job(each=one) for one in each]
    queue = Queue(jobs)
    while queue:
        head = next(iter(queue))
        assert chosen(queue, cost="tokens", max_padding=padding)[0] is head
