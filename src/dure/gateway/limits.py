"""What one client may send, and what it has sent of that.

Pure: whoever asks brings the moment. Knows neither keys nor protocols.
"""

from math import inf
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from dure.errors import RateLimited
from dure.gateway.bucket import Bucket

Amounts: TypeAlias = tuple[int, int, int, int]
"""Requests, documents, bytes, tokens."""

_NAMES = ("max_requests_per_s", "max_rows_per_s", "max_bytes_per_s", "max_tokens_per_s")
_MIN_RETRY_S = 0.001


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limits of one client; None is no limit."""

    max_requests_per_s: Annotated[Annotated[float, Meta(gt=0)] | None, Meta(description="requests a second")] = None
    max_rows_per_s: Annotated[Annotated[float, Meta(gt=0)] | None, Meta(description="documents a second")] = None
    max_bytes_per_s: Annotated[Annotated[float, Meta(gt=0)] | None, Meta(description="bytes a second")] = None
    max_tokens_per_s: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="tokens of texts a second, estimated from their bytes")
    ] = None
    max_concurrent: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="requests under way")] = None

    @property
    def is_any(self) -> bool:
        """Whether there is a limit at all."""
        return self != _NONE


_NONE = Limits()


class Meter:
    """What one client has sent and has under way.

    Args:
        who: Whose limits these are, for messages.
        limits: The limits.
        now: The moment, in seconds.

    Attributes:
        counts_tokens: Whether it has to be told of tokens: to estimate them costs time.
    """

    __slots__ = (
        "_mean_s", "_most", "_rates", "_requests", "_rows", "_size", "_tokens", "_who", "counts_tokens", "num_running",
    )  # fmt: skip

    def __init__(self, who: str, limits: Limits, now: float) -> None:
        rates = [getattr(limits, name) for name in _NAMES]
        self._rates = [None if rate is None else Bucket(rate, now) for rate in rates]
        self._requests, self._rows, self._size, self._tokens = self._rates
        self.counts_tokens = self._tokens is not None
        self._most = inf if limits.max_concurrent is None else limits.max_concurrent
        self._who = who
        self._mean_s = 0.1
        self.num_running = 0

    def take(self, amounts: Amounts, now: float, *, one_more: bool) -> None:
        """Count what is to be sent.

        Args:
            amounts: Requests, documents, bytes, tokens.
            now: The moment.
            one_more: Whether it will be under way beside what is.

        Raises:
            RateLimited: It is over a limit. Says which, and when it is worth trying again; nothing was counted.
        """
        if one_more and self.num_running >= self._most:
            raise self._refusal(f"{self.num_running} requests under way (max_concurrent={self._most})", self._mean_s)
        requests, rows, size, tokens = amounts
        # Each bucket by itself, not in a loop: this is done for every request.
        bucket = self._requests
        if bucket is not None and requests and (wait_s := bucket.take(requests, now)):
            raise self._too_many(0, amounts, wait_s)
        bucket = self._rows
        if bucket is not None and (rows or bucket.level < 0) and (wait_s := bucket.take(rows, now)):
            raise self._too_many(1, amounts, wait_s)
        bucket = self._size
        if bucket is not None and (size or bucket.level < 0) and (wait_s := bucket.take(size, now)):
            raise self._too_many(2, amounts, wait_s)
        bucket = self._tokens
        if bucket is not None and (tokens or bucket.level < 0) and (wait_s := bucket.take(tokens, now)):
            raise self._too_many(3, amounts, wait_s)
        self.num_running += one_more

    def give_back(self, amounts: Amounts, *, one_more: bool) -> None:
        """What was counted last is not sent."""
        self._return(amounts, len(self._rates))
        self.num_running -= one_more

    def _return(self, amounts: Amounts, count: int) -> None:
        for bucket, amount in zip(self._rates[:count], amounts, strict=False):
            if bucket is not None:
                bucket.give_back(amount)

    def _too_many(self, index: int, amounts: Amounts, wait_s: float) -> RateLimited:
        self._return(amounts, index)
        bucket = self._rates[index]
        rate = 0.0 if bucket is None else bucket.rate
        return self._refusal(f"had its share ({_NAMES[index]}={rate:g})", wait_s)

    def _refusal(self, what: str, wait_s: float) -> RateLimited:
        wait_s = max(wait_s, _MIN_RETRY_S)
        return RateLimited(f"{self._who} has {what}; try again in {wait_s:.3g} s", retry_after_s=wait_s)

    def leave(self, count: int, seconds: float) -> None:
        """So many are under way no more, after as many seconds."""
        self.num_running -= count
        self._mean_s += 0.1 * (seconds - self._mean_s)

    def is_idle(self, now: float) -> bool:
        """Whether it could be forgotten: as if it had never sent anything."""
        rates = [bucket for bucket in self._rates if bucket is not None]
        for bucket in rates:
            bucket.take(0, now)
        return not self.num_running and all(bucket.is_full for bucket in rates)
