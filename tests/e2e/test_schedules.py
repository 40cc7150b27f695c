"""Random schedules: requests, poison, withdrawals, deadlines, and workers that die, leave or lose their device.

Whatever happens, every answer holds exactly the rows of its own request, in their order, and every request is answered
once, or withdrawn. A schedule is all that follows from its seed.
"""

import asyncio
import contextlib
import logging
import os
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dure import Document, DocumentArray, Executor, requests
from dure.document.forms import COLUMNS, PROTOBUF, decode_form, encode_form
from dure.errors import (
    DeadlineExceeded,
    DeviceLost,
    DeviceOutOfMemory,
    DureError,
    ExecutorError,
    QueueFull,
    WorkerCrashed,
)
from dure.executor.endpoints import table
from dure.gateway import dispatcher, replica, router
from dure.gateway.assignment import Node
from dure.gateway.router import Handle, Outcome, Request, Router
from dure.spec import GATEWAY, BatchSpec
from tests.e2e.simulation import SimulatedLoop, Worker

MEMORY_ROWS = 6
ENDPOINTS = ("/keep", "/keep", "/keep", "/fewer", "/turned", "/own", "/told", "/first", "/memory", "/later")
UNMERGEABLE = ("/fewer", "/turned")


class Poison(ValueError):
    """What a method raises over a document that it cannot stand."""


class Simulated(Executor):
    """Methods of every kind; a document's text says what happens to it."""

    def __init__(self, schedule: "Schedule") -> None:
        super().__init__()
        self._schedule = schedule
        self.requests = schedule.table or self.requests
        self.worker: Worker

    def _mark(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        if not self.worker.dead:
            self._schedule.seen(docs.texts, self.worker)
        for doc in docs:
            kind = doc.text.partition(" ")[0]
            if kind == "poison":
                raise Poison(doc.text)
            if kind == "lose":
                raise DeviceLost("simulated(0) is lost.")
            if kind == "die":
                self.worker.die()
            doc.text = marked(doc.text, parameters["mark"])

    @requests(on="/keep")
    def keep(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        self._mark(docs, parameters)

    @requests(on="/fewer")
    def fewer(self, docs: DocumentArray, parameters: dict[str, Any]) -> DocumentArray:
        self._mark(docs, parameters)
        return docs[::2]

    @requests(on="/turned")
    def turned(self, docs: DocumentArray, parameters: dict[str, Any]) -> DocumentArray:
        self._mark(docs, parameters)
        return docs[::-1]

    @requests(on="/own")
    def own(self, docs: DocumentArray, parameters: dict[str, Any]) -> DocumentArray:
        self._mark(docs, parameters)
        return DocumentArray(Document(text=text) for text in docs.texts)

    @requests(on="/told")
    def told(self, docs: DocumentArray, parameters: dict[str, Any]) -> dict[str, Any]:
        self._mark(docs, parameters)
        return {"texts": docs.texts}

    @requests(on="/first")
    def first(self, docs: DocumentArray, parameters: dict[str, Any]) -> DocumentArray:
        """Answer with three documents, however many there are: as a search does."""
        self._mark(docs, parameters)
        return DocumentArray(Document(text=f"{''.join(docs.texts[:1])} {i}") for i in range(3))

    @requests(on="/memory")
    def memory(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        if len(docs) > MEMORY_ROWS:
            raise MemoryError(f"{len(docs)} rows")
        self._mark(docs, parameters)

    @requests(on="/later")
    def later(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        self._mark(docs, parameters)


class Cooperative(Simulated):
    """The same with a coroutine among them."""

    @requests(on="/later")
    async def later(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:  # type: ignore[override]
        await asyncio.sleep(self._schedule.random.choice((0.0, 0.01, 0.1)))
        self._mark(docs, parameters)


def marked(text: str, mark: int) -> str:
    return f"{text} <{mark}>"


class Sent:
    """A request, and all that became of it."""

    def __init__(self, number: int, endpoint: str, texts: list[str], mark: int, form: str) -> None:
        self.number, self.endpoint, self.texts, self.mark, self.form = number, endpoint, texts, mark, form
        self.kinds = {text.partition(" ")[0] for text in texts}
        self.priority, self.timeout_s = 0, 0.0
        self.handle: Handle | None = None
        self.outcomes: list[Outcome | DureError] = []
        self.withdrawn = False
        self.workers: set[int] = set()

    def expected(self) -> list[str]:
        texts = [marked(text, self.mark) for text in self.texts]
        if self.endpoint == "/fewer":
            return texts[::2]
        if self.endpoint == "/turned":
            return texts[::-1]
        return [f"{''.join(texts[:1])} {i}" for i in range(3)] if self.endpoint == "/first" else texts


class Schedule:
    """What happens, drawn from a seed."""

    def __init__(self, loop: SimulatedLoop, seed: int, num_requests: int) -> None:
        self.random = loop.random = Random(seed)
        self._loop, self._num_requests = loop, num_requests
        draw = self.random
        self.batching = draw.choice((None, None, spec(draw)))
        self.kind = draw.choice((Simulated, Simulated, Cooperative))
        self.table = None if self.batching is None else table(self.kind, {}, self.batching)
        self._trouble = draw.random() < 0.5
        self.max_queue_size = draw.choice((8192, 8192, 4))
        self.sent: list[Sent] = []
        self.deaths = self.losses = self._num_workers = 0
        self._left = num_requests
        self._tasks: list[asyncio.Task[Any]] = []
        node = Node(needs=[GATEWAY], max_queue_size=self.max_queue_size, max_call_s=None, replicas=1, max_replicas=1)
        self._router = Router({"simulated": node}, lambda: None, lambda _: None)

    def seen(self, texts: list[str], worker: Worker) -> None:
        """Note who begins with what."""
        for text in texts:
            self.sent[int(text.split(" ")[1])].workers.add(id(worker))
        kinds = {text.partition(" ")[0] for text in texts}
        self.deaths += "die" in kinds
        self.losses += "lose" in kinds

    async def play(self) -> None:
        """Let it all happen, until every request is answered."""
        draw = self.random
        self._done = asyncio.Event()
        workers = [await self._start_worker() for _ in range(draw.choice((1, 1, 2, 3)))]
        for number in range(self._num_requests):
            await asyncio.sleep(draw.choice((0.0, 0.0, 0.0, 0.001, 0.02)))
            self._submit(number)
            if self._trouble and draw.random() < 0.03:
                draw.choice(workers).leave()
        await self._done.wait()
        self._router.dispatchers["simulated"].close()
        await asyncio.sleep(60)

    async def _start_worker(self) -> Worker:
        self._num_workers += 1
        address = f"{self._num_workers}.sock"
        executor = self.kind(self)
        executor.worker = Worker(self._loop, address, executor, self._replace_worker)
        attached = asyncio.Event()
        await self._router.dispatchers["simulated"].attach(address, 0, lambda error: attached.set())
        await attached.wait()
        return executor.worker

    def _replace_worker(self) -> None:
        async def start() -> None:
            await asyncio.sleep(self.random.choice((0.0, 0.05, 1.0)))
            await self._start_worker()

        if self._left:
            self._tasks.append(self._loop.create_task(start()))

    def _submit(self, number: int) -> None:
        draw = self.random
        kinds = ["plain"] * draw.choice((0, 1, 1, 1, 2, 3, 8))
        if kinds and draw.random() < 0.1:
            dangers = ("poison", "poison", "poison", "lose", "die") if self._trouble else ("poison",)
            kinds[draw.randrange(len(kinds))] = draw.choice(dangers)
        endpoint = draw.choice(ENDPOINTS)
        if endpoint == "/first" and self.batching is not None:
            endpoint = "/keep"  # who asks for merging promises rows for rows
        texts = [f"{kind} {number} {i}" for i, kind in enumerate(kinds)]
        one = Sent(number, endpoint, texts, draw.randrange(2), draw.choice((COLUMNS, PROTOBUF)))
        one.priority = draw.choice((0, 0, 1, -1))
        one.timeout_s = draw.choice((0.0, 0.0, 0.0, 0.02, 5.0))
        self.sent.append(one)

        def done(outcome: Outcome | DureError) -> None:
            one.outcomes.append(outcome)
            self._is_over(one)

        payload = b"".join(map(bytes, encode_form(one.form, DocumentArray(Document(text=text) for text in texts))))
        request = Request(
            endpoint=endpoint,
            parameters=msgspec.msgpack.encode({"mark": one.mark}),
            form=one.form,
            rows=len(texts),
            payload=payload,
            stream=False,
            on_part=lambda _: None,
            on_done=done,
            priority=one.priority,
            timeout_s=one.timeout_s,
        )
        one.handle = self._router.submit(request)
        if draw.random() < 0.1:
            self._loop.call_later(draw.choice((0.0, 0.005, 0.05)), self._withdraw, one)

    def _withdraw(self, one: Sent) -> None:
        if not one.outcomes and one.handle is not None:
            one.withdrawn = True
            one.handle.withdraw()
            self._is_over(one)

    def _is_over(self, one: Sent) -> None:
        self._left -= 1
        if self._left == 0:
            self._done.set()

    # -- what must be so ------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Every request: one outcome or none, its own rows or an error that it may have, in one worker at most."""
        for one in self.sent:
            assert len(one.outcomes) == (0 if one.withdrawn else 1), f"request {one.number} has {one.outcomes}"
            assert len(one.workers) <= 1, f"request {one.number} was begun twice"
            for outcome in one.outcomes:
                if isinstance(outcome, Outcome):
                    self._check_answer(one, outcome)
                else:
                    assert self._may_be(one, outcome), f"request {one.number} at {one.endpoint}: {outcome!r}"

    def _check_answer(self, one: Sent, outcome: Outcome) -> None:
        found = decode_form(one.form, outcome.payload).texts
        assert found == one.expected(), f"request {one.number} at {one.endpoint}"
        assert outcome.rows == len(found)
        assert not one.kinds & {"poison", "lose", "die"}, "it cannot have been answered"
        if one.endpoint == "/told" and self.batching is None:
            told = msgspec.msgpack.decode(outcome.results["simulated"])
            assert told == {"texts": one.expected()}, "results of another request"

    def _may_be(self, one: Sent, error: DureError) -> bool:
        if isinstance(error, ExecutorError):
            is_poison = error.original_type.endswith("Poison") and "poison" in one.kinds
            return is_poison or (
                error.original_type.endswith("NotMergeable")
                and self.batching is not None
                and one.endpoint in UNMERGEABLE
            )
        causes: dict[type[DureError], bool] = {
            QueueFull: one.timeout_s > 0 or self.max_queue_size < self._num_requests,
            DeadlineExceeded: one.timeout_s > 0,
            WorkerCrashed: self.deaths > 0,
            DeviceLost: self.losses > 0,
            DeviceOutOfMemory: one.endpoint == "/memory",
        }
        return causes.get(type(error), False)


def spec(draw: Random) -> BatchSpec:
    size = draw.choice((1, 2, 7, 64))
    cost = draw.choice(("rows", "bytes", "tokens"))
    return BatchSpec(
        max_batch_size=size,
        max_queue_delay_s=draw.choice((0.0, 0.02)),
        cost=cost,
        max_batch_cost=None if cost == "bytes" else draw.choice((None, 50)),
        max_padding=None if cost == "rows" else draw.choice((None, 0.1, 0.5)),
        preferred_batch_sizes=draw.choice(([], [min(size, 4)])),
        max_passed_over_s=draw.choice((0.01, 1.0)),
    )


@contextlib.contextmanager
def simulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedLoop]:
    """A loop whose time is that of the gateway as well."""
    loop = SimulatedLoop()
    for module in (dispatcher, replica, router):
        monkeypatch.setattr(module, "monotonic", loop.time)
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def play(loop: SimulatedLoop, seed: int, num_requests: int) -> Schedule:
    loop.now = 0.0
    schedule = Schedule(loop, seed, num_requests)
    loop.run_until_complete(schedule.play())
    loop.workers.clear()
    schedule.check()
    return schedule


MANY = int(os.environ.get("SCHEDULES", "25000"))
"""100,000 take a quarter of an hour: they are for whoever changes the gateway's dispatcher, a replica or the worker."""
SCHEDULES = given(st.integers(0, 2**64), st.integers(1, 12))
SETTINGS: dict[str, Any] = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)  # methods that cannot be merged are warned of, thousands of times
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedLoop]:
    with simulated(monkeypatch) as made:
        yield made


@settings(max_examples=1_000, **SETTINGS)
@SCHEDULES
def test_schedules(loop: SimulatedLoop, seed: int, num_requests: int) -> None:
    play(loop, seed, num_requests)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=MANY, **SETTINGS)
@SCHEDULES
def test_many_schedules(loop: SimulatedLoop, seed: int, num_requests: int) -> None:
    play(loop, seed, num_requests)


def test_schedules_hold_what_they_are_to_try(loop: SimulatedLoop) -> None:
    """Of everything that may become of a request there is some, so that nothing above is true of nothing."""
    found: Counter[str] = Counter()
    for seed in range(200):
        schedule = play(loop, seed, 30)
        found["deaths"] += schedule.deaths
        found["losses"] += schedule.losses
        for one in schedule.sent:
            found["withdrawn"] += one.withdrawn
            for outcome in one.outcomes:
                found[type(outcome).__name__] += 1
                if isinstance(outcome, Outcome):
                    found["merged"] += outcome.served["simulated"].batch_requests > 1
    wanted = {"deaths", "losses", "withdrawn", "merged", "Outcome", "ExecutorError", "QueueFull", "DeadlineExceeded"}
    assert wanted | {"WorkerCrashed", "DeviceLost", "DeviceOutOfMemory"} <= found.keys()
    assert found["Outcome"] > 3000
    assert found["merged"] > 1000


@pytest.mark.parametrize("seed", range(3))
def test_a_schedule_follows_from_its_seed(loop: SimulatedLoop, seed: int) -> None:
    first, second = (summary(play(loop, seed, 20)) for _ in range(2))
    assert first == second


def summary(schedule: Schedule) -> list[Any]:
    return [(one.texts, [merged_with(outcome) for outcome in one.outcomes]) for one in schedule.sent]


def merged_with(outcome: Outcome | DureError) -> int | str:
    return type(outcome).__name__ if isinstance(outcome, DureError) else outcome.served["simulated"].batch_requests
