"""Clients take turns: who sends little does not wait for who sends much."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.gateway.job import Job
from dure.gateway.scheduler import Queue, compose
from dure.spec import BatchSpec


def job(endpoint: str = "/a", rows: int = 1, **fields: Any) -> Job:
    return Job(endpoint, b"", "columns", rows, [b""], False, lambda _: None, lambda _: None, **fields)


def chosen(queue: Queue, **settings: Any) -> list[Job]:
    spec = BatchSpec(**settings)
    return compose(queue, lambda _: spec, 0.0, idle=True).batch


def test_a_light_client_does_not_wait_behind_a_heavy_one() -> None:
    queue = Queue(job("/heavy", client="heavy") for _ in range(1000))
    light = job("/light", client="light")
    for _ in range(3):
        chosen(queue, max_batch_size=1)
    queue.append(light)
    assert light in chosen(queue, max_batch_size=1) + chosen(queue, max_batch_size=1)


def test_clients_are_served_by_their_weights() -> None:
    clients = {"one": 1.0, "three": 3.0}
    queue = Queue(job(client=name, weight=weight) for name, weight in clients.items() for _ in range(100))
    served = chosen(queue, max_batch_size=40)
    assert 29 <= sum(one.client == "three" for one in served) <= 31


def test_large_requests_weigh_what_they_are() -> None:
    queue = Queue([job(rows=10, client="large") for _ in range(20)] + [job(client="small") for _ in range(20)])
    served = chosen(queue, max_batch_size=40)
    assert sum(one.rows for one in served if one.client == "small") == 20
    assert sum(one.rows for one in served if one.client == "large") == 20


def test_who_was_idle_has_saved_nothing_up() -> None:
    queue = Queue(job(client="busy") for _ in range(100))
    chosen(queue, max_batch_size=50)
    chosen(queue, max_batch_size=1)
    for _ in range(20):
        queue.append(job(client="idle"))
    served = [chosen(queue, max_batch_size=1)[0].client for _ in range(20)]
    assert 8 <= served.count("busy") <= 12


def test_a_full_queue_makes_room_for_who_has_less_in_it() -> None:
    queue = Queue(job(rows=2, client="heavy") for _ in range(5))
    last = list(queue)[-1]
    assert queue.displaced_by(job(client="heavy")) is None
    assert queue.displaced_by(job(client="light")) is last
    assert (len(queue), queue.rows) == (4, 8)


def test_what_comes_before_a_new_request() -> None:
    queue = Queue(job(client="heavy") for _ in range(10))
    assert queue.share_before(job(client="heavy")) == 1
    assert queue.share_before(job(client="light")) == pytest.approx(0.1)


def test_what_is_put_back_stands_where_it_was() -> None:
    queue = Queue(job(client="heavy") for _ in range(10))
    before = list(queue)
    batch = chosen(queue, max_batch_size=4)
    light = job(client="light")
    queue.append(light)
    queue.put_back(batch)
    assert [one for one in queue if one is not light] == before
    assert list(queue).index(light) <= 4


CLIENTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 8), st.booleans()), min_size=1, max_size=80)


@given(CLIENTS, st.integers(1, 16))
def test_each_client_is_served_in_its_order(sent: list[tuple[str, int, bool]], size: int) -> None:
    """Whenever it sends, and whatever the others do."""
    queue, served, number = Queue(), [], 0
    for client, rows, then_serve in sent:
        queue.append(job(client=client, rows=rows, sent_at=float(number)))
        number += 1
        served += chosen(queue, max_batch_size=size) if then_serve else []
    while queue:
        served += chosen(queue, max_batch_size=size)
    assert len(served) == number
    for client in "abc":
        places = [one.sent_at for one in served if one.client == client]
        assert places == sorted(places)


@given(
    flood=st.lists(st.integers(1, 8), min_size=1, max_size=200),
    gap=st.integers(0, 30),
    weight=st.sampled_from((0.5, 1.0, 4.0)),
    rows=st.integers(1, 8),
)
def test_how_long_a_light_client_waits_is_bounded(flood: list[int], gap: int, weight: float, rows: int) -> None:
    """Behind a flood of whatever length a first request waits for one request of the other client, and no more."""
    queue = Queue(job("/flood", rows=rows, client="heavy") for rows in flood)
    for _ in range(min(gap, len(flood) - 1)):
        chosen(queue, max_batch_size=1)
    light = job("/light", rows=rows, client="light", weight=weight)
    queue.append(light)
    before = 0
    while (batch := chosen(queue, max_batch_size=1)) != [light]:
        before += len(batch)
    assert before <= 1


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 8)), min_size=20, max_size=200),
    st.sampled_from((1.0, 2.0, 5.0)),
)
def test_while_both_wait_neither_gets_more_than_its_share(sent: list[tuple[str, int]], weight: float) -> None:
    weights = {"a": weight, "b": 1.0}
    queue = Queue(job(f"/{c}", rows=rows, client=c, weight=weights[c]) for c, rows in sent)
    left = {c: sum(client == c for client, _ in sent) for c in "ab"}
    got = dict.fromkeys("ab", 0.0)
    while all(left.values()):
        one = chosen(queue, max_batch_size=1)[0]
        left[one.client] -= 1
        got[one.client] += one.rows / weights[one.client]
        assert abs(got["a"] - got["b"]) <= 8 / weights["a"] + 8 / weights["b"], "SFQ's bound: one request of each"
