"""What a replica has done since its process started: counted in the worker, read by the process that started it.

A few numbers and the ledger of moves. Knows nothing of who asks for them.
"""

import threading

from msgspec import Struct

from dure.device.context import Context, gpu
from dure.device.transfer import Route, Transfers
from dure.transport.messages import Spent


class ReplicaMetrics(Struct, frozen=True, kw_only=True):
    """What one replica has done since its process started. Printing it gives a table.

    `num_calls` is how often a method was called, for `num_requests` requests that are answered (calls are merged, and a
    merged call that fails is made again for each request), with `num_documents` documents. `compute_s` is the time
    spent in methods; calls of coroutines and generators that run beside each other all count. `transfers` are the moves
    made through dure, by its constructor and by the answers as well, `stages` what methods said of their own time.
    """

    num_calls: int
    num_requests: int
    num_documents: int
    compute_s: float
    stages: dict[str, float]
    transfers: Transfers

    def __str__(self) -> str:
        figures = f"calls: {self.num_calls}, requests: {self.num_requests}, documents: {self.num_documents}"
        stages = "".join(f", {name}: {seconds:.3f} s" for name, seconds in self.stages.items())
        return f"{figures}, in methods: {self.compute_s:.3f} s{stages}\n{self.transfers}"


class Counters:
    """What is counted, by whoever calls methods, in any thread; another may read it at any moment.

    Args:
        ledger: Where the moves are written down.
        context: Where the replica runs, as the process that started it counts devices; its own name for the one GPU
            that it sees is `gpu(0)`.
    """

    def __init__(self, ledger: Transfers, context: Context | None = None) -> None:
        self._lock = threading.Lock()
        self._num_requests = 0
        self._num_documents = 0
        self._spent = Spent()
        self._ledger = ledger
        self._names = {gpu(0): context} if context is not None and context.kind == "gpu" else {}

    def add(self, num_requests: int, num_documents: int, spent: Spent) -> None:
        """Count a batch."""
        whole = self._spent
        with self._lock:
            self._num_requests += num_requests
            self._num_documents += num_documents
            whole.num_calls += spent.num_calls
            whole.compute_s += spent.compute_s
            for name, seconds in spent.stages.items():
                whole.stages[name] = whole.stages.get(name, 0.0) + seconds

    def read(self) -> ReplicaMetrics:
        """Return the figures of now; a batch that is being served is not counted yet."""
        return ReplicaMetrics(
            num_calls=self._spent.num_calls,
            num_requests=self._num_requests,
            num_documents=self._num_documents,
            compute_s=self._spent.compute_s,
            stages=dict(self._spent.stages),
            transfers=Transfers({self._renamed(route): moved for route, moved in self._ledger.routes.items()}),
        )

    def _renamed(self, route: Route) -> Route:
        source, target, where = route
        return Route(self._names.get(source, source), self._names.get(target, target), where)
