"""How long calls of one Executor take, by how many documents are in them: a line through what was seen lately.

Pure: no clock, no IO. All replicas share it, so that one which was given small batches does not look slow for that.
"""

_KEPT = 1 - 1 / 64
"""What a call counts for when the next has been seen."""


class Pace:
    """Seconds = so much for each call + so much for each document."""

    def __init__(self) -> None:
        self._weight = 0.0
        self._rows = self._seconds = 0.0
        self._rows_rows = self._rows_seconds = 0.0

    def saw(self, rows: int, seconds: float) -> None:
        """Take in what one call took."""
        self._weight = self._weight * _KEPT + 1
        step = 1 / self._weight
        off = rows - self._rows
        self._rows += off * step
        self._seconds += (seconds - self._seconds) * step
        # Covariances about the moving means, as by Welford, with what is older counting for less.
        self._rows_rows += (off * (rows - self._rows) - self._rows_rows) * step
        self._rows_seconds += (off * (seconds - self._seconds) - self._rows_seconds) * step

    def expected_s(self, rows: int, calls: int = 1) -> float:
        """Return how long so many documents take, in so many calls; 0 while nothing has been seen.

        As long as all calls were of one size, documents are taken to cost nothing by themselves.
        """
        if not self._weight:
            return 0.0
        per_row = self._rows_seconds / self._rows_rows if self._rows_rows > 1e-9 else 0.0
        per_row = min(max(per_row, 0.0), self._seconds / max(self._rows, 1e-9))  # neither part is less than nothing
        per_call = max(self._seconds - per_row * self._rows, 0.0)  # the difference of what is equal may fall below
        return per_call * calls + per_row * rows
