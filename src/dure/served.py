"""How an Executor served a request: what is told to who asks for it.

A record, made in the gateway. Knows nothing of requests.
"""

from msgspec import Struct


class Served(Struct, array_like=True, frozen=True, kw_only=True):
    """How one Executor served a request; durations in seconds.

    `queue_s` is the time until it was sent to a worker, `wait_s` from then until its batch was begun, `compute_s` what
    the method took, `serialize_s` what reading the documents and writing the answer took. The batch it was in had
    `batch_requests` requests with `batch_rows` documents.
    """

    replica: int
    queue_s: float
    wait_s: float
    compute_s: float
    serialize_s: float
    batch_requests: int
    batch_rows: int
