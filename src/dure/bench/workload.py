"""What load a service is put under: which requests, how many at once or per second, for how long.

A record of the user's choices; knows no service.
"""

from dataclasses import dataclass

from dure.bench.load_body import DEFAULT


@dataclass(frozen=True, slots=True)
class Workload:
    """The choices of one run; times in seconds.

    Args:
        target: Address of the service, see `dure.bench.load_target`.
        rates: Requests per second, one open loop each.
        clients: Clients that wait for each answer, one closed loop each. With neither rates nor clients, the capacity
            is looked for, and rates up to beyond it follow.
        duration_s: Length of a load.
        warmup_s: How long the load lasts before that; discarded.
        timeout_s: After so long a request without an answer has failed.
        docs_per_request: Texts in a request, >= 1.
        endpoint: Of a Flow.
        body: Template of plain HTTP's requests, see `dure.bench.load_body.filled`.
        texts: A file with a text on each line; real English sentences without one.
        words: Least and greatest number of words of texts of mixed lengths, made of those words.
        max_connections: Requests that are under way at once.
        seed: Where chance begins: same seed, same moments and same texts.
        quick: Fewer steps to the capacity and on the curve.
    """

    target: str
    rates: tuple[float, ...] = ()
    clients: tuple[int, ...] = ()
    duration_s: float = 10.0
    warmup_s: float = 2.0
    timeout_s: float = 10.0
    docs_per_request: int = 1
    endpoint: str = "/"
    body: str = DEFAULT
    texts: str | None = None
    words: tuple[int, int] | None = None
    max_connections: int = 512
    seed: int = 0
    quick: bool = False
