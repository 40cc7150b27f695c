"""A token bucket: so much a second, and one second's worth at once.

Pure: whoever asks brings the moment.
"""


class Bucket:
    """What may be taken, which grows with time.

    What is larger than the whole bucket is let through when the bucket is full, and paid for afterwards: nobody may
    send more than `rate` a second for long, and nothing is refused for ever.

    Attributes:
        rate: As given.
        level: How much may be taken, by what was known at the last `take`; less than 0 while it is paid for.

    Args:
        rate: Units a second, more than 0. As many, and at least one, may be taken at once.
        now: The moment, in seconds.
    """

    __slots__ = ("_at", "_size", "level", "rate")

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._size = self.level = max(rate, 1.0)
        self._at = now

    def take(self, amount: float, now: float) -> float:
        """Take so much if it may be taken now, and return 0; else return after how many seconds it may be."""
        if now > self._at:
            level = self.level + (now - self._at) * self.rate
            self.level = level if level < self._size else self._size
            self._at = now
        missing = (amount if amount < self._size else self._size) - self.level
        if missing > 0:
            return missing / self.rate
        self.level -= amount
        return 0.0

    def give_back(self, amount: float) -> None:
        """What was taken last was not needed."""
        self.level += amount

    @property
    def is_full(self) -> bool:
        """Whether nothing was taken of late, by what was known at the last `take`."""
        return self.level >= self._size
