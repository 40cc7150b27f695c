"""A token bucket: so much a second, and one second's worth at once.

Pure: whoever asks brings the moment.
"""


class Bucket:
    """What may be taken, which grows with time.

    What is larger than the whole bucket is let through when the bucket is full, and paid for afterwards: nobody may
    send more than `rate` a second for long, and nothing is refused for ever.

    Args:
        rate: Units a second, more than 0. As many, and at least one, may be taken at once.
        now: The moment, in seconds.
    """

    __slots__ = ("_at", "_level", "_rate", "_size")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._size = self._level = max(rate, 1.0)
        self._at = now

    def wait_s(self, amount: float, now: float) -> float:
        """Return after how many seconds so much may be taken; 0 if it may be now."""
        if now > self._at:
            self._level = min(self._size, self._level + (now - self._at) * self._rate)
            self._at = now
        missing = min(amount, self._size) - self._level
        return missing / self._rate if missing > 0 else 0.0

    def take(self, amount: float) -> None:
        """Take it; call `wait_s` before."""
        self._level -= amount

    @property
    def is_full(self) -> bool:
        """Whether nothing was taken of late, by what was known at the last `wait_s`."""
        return self._level >= self._size
