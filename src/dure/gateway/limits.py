"""What one client may send, and what it has sent of that.

Pure: whoever asks brings the moment. Knows neither keys nor protocols.
"""

from math import inf
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from dure.errors import RateLimited
from dure.gateway.bucket import Bucket

_MIN_RETRY_S = 0.001


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limits of one client; None is no limit."""

    max_requests_per_s: Annotated[Annotated[float, Meta(gt=0)] | None, Meta(description="requests a second")] = None
    max_rows_per_s: Annotated[Annotated[float, Meta(gt=0)] | None, Meta(description="documents a second")] = None
    max_bytes_per_s: Annotated[Annotated[float, Meta(gt=0)] | None, Meta(description="bytes a second")] = None
    max_concurrent: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="requests under way")] = None

    @property
    def is_any(self) -> bool:
        """Whether there is a limit at all."""
        return self != _NONE


_NONE = Limits()


class Amounts(NamedTuple):
    """What is to be sent."""

    requests: float = 0
    rows: float = 0
    size: float = 0


class Meter:
    """What one client has sent and has under way.

    Args:
        who: Whose limits these are, for messages.
        limits: The limits.
        now: The moment, in seconds.
    """

    __slots__ = ("_begun_s", "_buckets", "_max_concurrent", "_who", "limits", "num_running")

    def __init__(self, who: str, limits: Limits, now: float) -> None:
        rates = (limits.max_requests_per_s, limits.max_rows_per_s, limits.max_bytes_per_s)
        names = ("max_requests_per_s", "max_rows_per_s", "max_bytes_per_s")
        self._buckets = [(i, names[i], rate, Bucket(rate, now)) for i, rate in enumerate(rates) if rate is not None]
        self._max_concurrent = inf if limits.max_concurrent is None else limits.max_concurrent
        self._who = who
        self._begun_s = 0.1
        self.limits = limits
        self.num_running = 0

    def check(self, amounts: Amounts, now: float, *, one_more: bool) -> None:
        """Refuse what is over a limit; take nothing yet.

        Args:
            amounts: What is to be sent.
            now: The moment.
            one_more: Whether it would be under way beside what is.

        Raises:
            RateLimited: Says which limit, and when it is worth trying again.
        """
        for index, name, rate, bucket in self._buckets:
            wait_s = bucket.wait_s(amounts[index], now)
            if wait_s > 0:
                wait_s = max(wait_s, _MIN_RETRY_S)
                raise RateLimited(
                    f"{self._who} has had its share ({name}={rate:g}); try again in {wait_s:.3g} s",
                    retry_after_s=wait_s,
                )
        if one_more and self.num_running >= self._max_concurrent:
            wait_s = max(self._begun_s / self.num_running, _MIN_RETRY_S)
            raise RateLimited(
                f"{self._who} has {self.num_running} requests under way (max_concurrent={self._max_concurrent}); try"
                f" again in {wait_s:.3g} s",
                retry_after_s=wait_s,
            )

    def take(self, amounts: Amounts, *, one_more: bool) -> None:
        """Count what was checked."""
        for index, _, _, bucket in self._buckets:
            bucket.take(amounts[index])
        self.num_running += one_more

    def leave(self, count: int, seconds: float) -> None:
        """So many are under way no more, after as many seconds."""
        self.num_running -= count
        self._begun_s += 0.1 * (seconds - self._begun_s)

    def is_idle(self, now: float) -> bool:
        """Whether it could be forgotten: as if it had never sent anything."""
        for _, _, _, bucket in self._buckets:
            bucket.wait_s(0, now)
        return not self.num_running and all(bucket.is_full for _, _, _, bucket in self._buckets)
