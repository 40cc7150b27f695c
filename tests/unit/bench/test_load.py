import asyncio
from itertools import repeat

import numpy as np
import pytest

from dure.bench.arrivals import poisson
from dure.bench.load import OK, TIMEOUT, UNSENT, Load, Refusal, Samples, Sender
from tests.unit.bench.virtual_time import OneServer, in_virtual_time


def open_loop(
    sender: Sender, moments: list[float], *, timeout: float = 60.0, connections: int = 10_000, zero: float = 5.0
) -> Samples:
    async def run() -> Samples:
        return await Load(sender, zero, timeout, connections).open_loop(moments)

    return in_virtual_time(run())


def closed_loop(sender: Sender, num_clients: int, start: float, end: float, *, timeout: float = 60.0) -> Samples:
    async def run() -> Samples:
        return await Load(sender, 5.0, timeout, 10_000).closed_loop(num_clients, start, end)

    return in_virtual_time(run())


def latency(samples: Samples) -> np.ndarray:
    return np.subtract(samples.done_s, samples.intended_s)


def test_requests_are_sent_at_their_moments_whatever_becomes_of_those_before() -> None:
    samples = open_loop(OneServer(repeat(10.0)), [-1.0, 0.0, 0.5, 0.5])
    assert samples.sent_s == pytest.approx([-1.0, 0.0, 0.5, 0.5])
    assert samples.done_s == pytest.approx([9.0, 19.0, 29.0, 39.0])


def test_a_stall_is_in_the_latency_of_every_request_that_was_to_be_sent_meanwhile() -> None:
    """The mistake that is to be avoided: a client that waits sends nothing during the stall and so hardly sees it."""
    moments = poisson(500.0, 0.0, 3.0, np.random.default_rng(0)).tolist()
    stall = (1.0, 1.3)
    found = open_loop(OneServer(repeat(0.0001), stall), moments, zero=0.0)
    meanwhile = [at for at in moments if stall[0] <= at < stall[1]]
    assert len(meanwhile) > 100
    waited = dict(zip(found.intended_s, latency(found), strict=True))
    for at in meanwhile:
        assert waited[at] >= stall[1] - at
    assert np.quantile(latency(found), 0.99) > 0.25
    waits = closed_loop(OneServer(repeat(0.0001), (6.0, 6.3)), 1, 0.0, 3.0)
    assert (latency(waits) > 0.01).sum() == 1
    assert np.quantile(latency(waits), 0.99) < 0.001


def test_what_waits_for_a_connection_waits_from_its_intended_moment() -> None:
    samples = open_loop(OneServer(repeat(1.0)), [0.0, 0.1, 0.2], connections=1)
    assert samples.sent_s == pytest.approx([0.0, 1.0, 2.0])
    assert samples.taken_s == pytest.approx([0.0, 0.1, 0.2])
    assert latency(samples) == pytest.approx([1.0, 1.9, 2.8])


def test_no_request_is_left_out_and_one_without_an_answer_is_none_that_was_answered() -> None:
    server = OneServer(repeat(1.0))
    samples = open_loop(server, [0.0, 0.1, 0.1, 0.1], timeout=1.5, connections=1)
    assert samples.outcome == [OK, TIMEOUT, UNSENT, UNSENT]
    assert latency(samples) == pytest.approx([1.0, 1.5, 1.5, 1.5])
    assert server.num_sent == 2
    assert samples.messages[TIMEOUT] == "no answer 1.5 s after it was to be sent"


def test_clients_send_when_they_have_been_answered() -> None:
    samples = closed_loop(OneServer(repeat(0.01)), 4, -1.0, 2.0)
    assert min(samples.intended_s) == pytest.approx(-1.0)
    assert max(samples.intended_s) < 2.0
    # One server, four clients: each waits for the three others.
    assert latency(samples)[10:] == pytest.approx(0.04)
    assert len(samples.outcome) == pytest.approx(300, abs=5)


class Refuses:
    """Refuses every second request, at once."""

    async def send(self, number: int) -> Refusal | None:
        await asyncio.sleep(0)
        return Refusal("http_503", f"full, at request {number}") if number % 2 else None

    async def close(self) -> None:
        pass


def test_refusals_are_kept_by_kind_with_the_first_that_was_said() -> None:
    samples = open_loop(Refuses(), [0.0, 1.0, 2.0, 3.0])
    assert samples.outcome == [OK, "http_503", OK, "http_503"]
    assert samples.messages == {"http_503": "full, at request 1"}


def test_a_service_that_refuses_at_once_is_not_stormed() -> None:
    async def run() -> Samples:
        return await Load(AlwaysRefuses(), 0.0, 1.0, 10).closed_loop(2, 0.0, 1.0)

    assert len(in_virtual_time(run()).outcome) == pytest.approx(40, abs=2)


class AlwaysRefuses(Refuses):
    async def send(self, number: int) -> Refusal | None:
        return Refusal("cannot_connect", "nobody is there")


def test_samples_are_kept_in_microseconds() -> None:
    samples = Samples([0.12345678], [0.2], [None], [0.99999999], [UNSENT], {UNSENT: "none was free"})
    assert samples.rounded() == Samples([0.123457], [0.2], [None], [1.0], [UNSENT], {UNSENT: "none was free"})
