"""What a replica has done since its process started: counted in the worker, read by the process that started it.

A few numbers and the ledger of moves. Knows nothing of who asks for them.
"""

from msgspec import Struct

from dure.device.context import Context, gpu
from dure.device.transfer import Route, Transfers


class ReplicaMetrics(Struct, frozen=True, kw_only=True):
    """What one replica has done since its process started. Printing it gives a table.

    `num_calls` is how often a method was called, for `num_requests` requests that are answered (calls are merged, and a
    merged call that fails is made again for each request), with `num_documents` documents. `compute_s` is the time
    spent in methods; calls of coroutines and generators that run beside each other all count. `transfers` are the moves
    made through dure, by its constructor and by the answers as well.
    """

    num_calls: int
    num_requests: int
    num_documents: int
    compute_s: float
    transfers: Transfers

    def __str__(self) -> str:
        figures = f"calls: {self.num_calls}, requests: {self.num_requests}, documents: {self.num_documents}"
        return f"{figures}, in methods: {self.compute_s:.3f} s\n{self.transfers}"


class Counters:
    """What is counted, by whoever calls methods, in one thread; another may read it at any moment.

    Args:
        ledger: Where the moves are written down.
        context: Where the replica runs, as the process that started it counts devices; its own name for the one GPU
            that it sees is `gpu(0)`.

    Attributes:
        num_calls: As in `ReplicaMetrics`, and so on.
    """

    def __init__(self, ledger: Transfers, context: Context | None = None) -> None:
        self.num_calls = 0
        self.num_requests = 0
        self.num_documents = 0
        self.compute_s = 0.0
        self._ledger = ledger
        self._names = {gpu(0): context} if context is not None and context.kind == "gpu" else {}

    def read(self) -> ReplicaMetrics:
        """Return the figures of now; of a call that is just over, the time may not be counted yet."""
        return ReplicaMetrics(
            num_calls=self.num_calls,
            num_requests=self.num_requests,
            num_documents=self.num_documents,
            compute_s=self.compute_s,
            transfers=Transfers({self._renamed(route): moved for route, moved in self._ledger.routes.items()}),
        )

    def _renamed(self, route: Route) -> Route:
        source, target, where = route
        return Route(self._names.get(source, source), self._names.get(target, target), where)
