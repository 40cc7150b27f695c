"""What one queue costs at sizes that no machine here has: the gateway's own dispatcher, in simulated time.

Real are dispatcher, queue, batches, pace and the messages' headers. Simulated are time, which leaps to whatever happens
next, and replicas, which take as long for a batch as was measured of one. Processor time is real, and only that spent
in dure's own code is counted.

    python benchmarks/scheduler.py --replicas 10 100 1000 --rate 1000 --requests 1000000
"""

import argparse
import asyncio
import gc
import heapq
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec

import machine
from dure.errors import DureError
from dure.gateway import dispatcher as dispatcher_module
from dure.gateway import replica as replica_module
from dure.gateway.assignment import Node
from dure.gateway.dispatcher import Dispatcher
from dure.gateway.job import Answer, Job
from dure.gateway.replica import Replica
from dure.spec import BatchSpec
from dure.transport.frames import Frame, Kind
from dure.transport.messages import BatchCall, BatchReply, EndpointInfo, Outcome, Spent, WorkerHello, decode, encode

PAYLOAD = b"x" * 64
GREEDY = "client0"


class Timeline(asyncio.BaseEventLoop):
    """What is to happen, in simulated time. As an event loop it gives the dispatcher its timers, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def time(self) -> float:
        return self.now

    def at(self, when: float, what: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (when, self._count, what))

    def call_later(self, delay: float, callback: Any, *args: Any, **_: Any) -> asyncio.TimerHandle:  # type: ignore[override]
        handle = asyncio.TimerHandle(self.now + delay, callback, args, self)
        self.at(self.now + delay, lambda: None if handle.cancelled() else callback(*args))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing is to be done: it is looked at when its time has come."""

    def play(self) -> None:
        while self._events:
            self.now, _, what = heapq.heappop(self._events)
            what()


class Meter:
    """Processor time spent in dure."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.seconds = 0.0

    def __call__(self, work: Callable[..., None], *arguments: Any) -> None:
        begin = perf_counter()
        work(*arguments)
        self.seconds += perf_counter() - begin


class Worker:
    """The other end of a replica's connection: answers calls one after the other, in simulated time."""

    def __init__(self, meter: Meter, replica: Replica, service: "Service") -> None:
        self._timeline, self._meter, self._replica, self._service = meter.timeline, meter, replica, service
        self._free_at = 0.0
        self.num_rows = self.num_calls = 0
        replica.connection.send = self.take  # type: ignore[method-assign]

    def take(self, kind: Kind, number: int, header: bytes, body: Any) -> None:
        rows = [item.rows for item in decode(BatchCall, header).items]
        seconds = self._service.seconds(sum(rows))
        self.num_rows += sum(rows)
        self.num_calls += 1
        self._free_at = max(self._free_at, self._timeline.now) + seconds
        outcomes = [Outcome(False, count, len(PAYLOAD), b"") for count in rows]
        reply = Frame(
            Kind.REPLY, number, encode(BatchReply(outcomes, Spent(compute_s=seconds))), bytearray(PAYLOAD * len(rows))
        )
        self._timeline.at(self._free_at, lambda: self._meter(self._replica._on_frame, self._replica.connection, reply))


class Service(msgspec.Struct):
    """How long a replica takes for a batch: so much a call, and so much a document, give or take a tenth."""

    call_s: float
    row_s: float
    random: random.Random

    def seconds(self, rows: int) -> float:
        return (self.call_s + self.row_s * rows) * self.random.uniform(0.9, 1.1)

    def rate(self, batch: int) -> float:
        """Documents a second of one replica that is given full batches."""
        return batch / (self.call_s + self.row_s * batch)


def senders(count: int, requests: int, chance: random.Random) -> list[str]:
    """Who sends each request: as many clients as are told, one of them ten times as much as each other."""
    others = [f"client{i}" for i in range(1, count)]
    return chance.choices([GREEDY, *others], [10.0, *[1.0] * len(others)], k=requests)


class Answers:
    """What became of the requests of each client."""

    def __init__(self) -> None:
        self.waits_s: dict[str, list[float]] = {}
        self.failed: Counter[str] = Counter()

    def told(self, client: str, waited_s: float, answer: Answer | DureError) -> None:
        if isinstance(answer, DureError):
            self.failed[type(answer).__name__] += 1
        else:
            self.waits_s.setdefault(client, []).append(waited_s)

    def centile_ms(self, share: float, whose: Callable[[str], bool] = lambda _: True) -> float:
        waits_s = sorted(wait_s for client, several in self.waits_s.items() if whose(client) for wait_s in several)
        return waits_s[int(len(waits_s) * share)] * 1e3


def workers_of(dispatcher: Dispatcher, chosen: argparse.Namespace, meter: Meter, service: Service) -> list[Worker]:
    """Give a dispatcher its replicas."""
    info = EndpointInfo(batching=BatchSpec(max_batch_size=chosen.batch), concurrent=False)
    table = {"/default": info}
    hello = WorkerHello(version=1, name="simulated", endpoints=table, slots=2, slots_in_order=2, concurrency=1)
    workers = []
    for number in range(chosen.replicas):
        replica = Replica(number, f"replica{number}", dispatcher)
        dispatcher._told[replica] = lambda _: None
        replica.hello, replica.slots = hello, hello.slots
        workers.append(Worker(meter, replica, service))
        dispatcher.replica_ready(replica)
    return workers


def simulated(chosen: argparse.Namespace, service: Service) -> dict[str, Any]:
    """Run it; return what was seen."""
    timeline = Timeline()
    asyncio._set_running_loop(timeline)
    for module in (dispatcher_module, replica_module):
        module.monotonic = timeline.time  # type: ignore[attr-defined]
    meter, answers, chance = Meter(timeline), Answers(), random.Random(1)
    most = chosen.requests
    node = Node(needs=[], max_queue_size=most, max_call_s=None, replicas=chosen.replicas, max_replicas=chosen.replicas)
    dispatcher = Dispatcher("simulated", node, lambda: None, lambda _: None)
    workers = workers_of(dispatcher, chosen, meter, service)
    left = iter(senders(chosen.clients, chosen.requests, chance))

    def arrive() -> None:
        client = next(left, None)
        if client is not None:
            sent_at = timeline.now
            meter(
                dispatcher.submit,
                job_of(client, lambda answer: answers.told(client, timeline.now - sent_at, answer)),
            )
            timeline.at(sent_at + chance.expovariate(chosen.rate), arrive)

    arrive()
    gc.freeze()
    gc.set_threshold(20_000)
    timeline.play()
    rows = [worker.num_rows for worker in workers]
    return {
        "replicas": chosen.replicas,
        "requests_per_s": chosen.rate,
        "requests": chosen.requests,
        "failed": answers.failed,
        "decision_us_per_request": meter.seconds / chosen.requests * 1e6,
        "requests_per_batch": sum(rows) / sum(worker.num_calls for worker in workers),
        "p50_ms": answers.centile_ms(0.5),
        "p99_ms": answers.centile_ms(0.99),
        "p99_ms_of_who_sends_little": answers.centile_ms(0.99, lambda client: client != GREEDY),
        "p99_ms_of_who_sends_most": answers.centile_ms(0.99, lambda client: client == GREEDY),
        "fairness_of_replicas": sum(rows) ** 2 / (len(rows) * sum(count**2 for count in rows)),
    }


def job_of(client: str, on_done: Callable[[Answer | DureError], None]) -> Job:
    """A request of one document."""
    return Job(
        endpoint="/default",
        parameters=b"",
        form="columns",
        rows=1,
        payloads=[PAYLOAD],
        stream=False,
        on_part=lambda _: None,
        on_done=on_done,
        client=client,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument(
        "--rate", type=float, default=1000.0, help="requests a second for each replica, of a document each"
    )
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--load", type=float, default=0.8, help="share of what the replicas can do that is asked for")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--call-share", type=float, default=0.2, help="of a full batch's time, what each call takes")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = parser.parse_args()
    full_s = told.batch * told.load / told.rate
    service = Service(full_s * told.call_share, full_s * (1 - told.call_share) / told.batch, random.Random(2))
    print(f"a replica: {service.call_s * 1e3:.2f} ms a call and {service.row_s * 1e3:.3f} ms a document")
    rows = []
    for replicas in told.replicas:
        chosen = argparse.Namespace(**{**vars(told), "replicas": replicas, "rate": replicas * told.rate})
        rows.append(simulated(chosen, service))
        print(json.dumps(rows[-1], indent=1), flush=True)
    date = time.strftime("%Y-%m-%d", time.gmtime())
    path = told.out / f"{date}-scheduler-{machine.slug()}.json"
    result = {**machine.describe(), "call_s": service.call_s, "row_s": service.row_s, "rows": rows}
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
