"""What the texts of a call count for: they are charged to who calls, and written down, as the documents of a Flow are.

Knows visits and texts, not what is done with them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from dure.errors import Cancelled, DureError
from dure.gateway.cost import tokens_of
from dure.gateway.visit import VISIT


@dataclass(frozen=True, slots=True)
class _Charged:
    endpoint: str
    rows: int


@contextmanager
def metered(endpoint: str, texts: Sequence[str]) -> Iterator[None]:
    """Charge the visit that this call is, and tell it how the call ended.

    Args:
        endpoint: What is called, for the audit.
        texts: Each is a row.

    Raises:
        RateLimited: The client, or its address, has had its share.
    """
    visit = VISIT.get()
    if visit is None:
        yield
        return
    sizes = [len(text.encode()) for text in texts]
    visit.begin(len(sizes), sum(sizes), round(sum(tokens_of(sizes))) if visit.counts_tokens else 0)
    began = monotonic()
    error: DureError | None = Cancelled("withdrawn")  # who hangs up ends it at any time
    try:
        yield
        error = None
    except DureError as found:
        error = found
        raise
    except Exception as found:
        error = DureError(f"{type(found).__qualname__}: {found}")
        raise
    finally:
        visit.end(_Charged(endpoint, len(sizes)), error, monotonic() - began)
