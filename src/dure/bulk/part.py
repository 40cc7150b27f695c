"""Parts: a run of rows each, numbered in the order of the input, and each a file of the output.

Arithmetic only: reads and writes nothing.
"""

from collections.abc import Iterator
from typing import NamedTuple

from dure.errors import DureError, from_wire, to_wire

MAX_ATTEMPTS = 3
"""How often a part is begun, where what failed was not its rows but a process."""
_DIGITS = 5


class Part(NamedTuple):
    """The rows `start` up to `stop`, which is not one of them, of the whole input, counted from 0."""

    number: int
    start: int
    stop: int

    @property
    def num_rows(self) -> int:
        """How many rows it is."""
        return self.stop - self.start

    def __str__(self) -> str:
        return f"part {self.number} ({rows_told(self.start, self.stop)})"


class Parts(NamedTuple):
    """All parts of an input: `part_rows` rows in each but the last, which may have fewer."""

    num_rows: int
    part_rows: int

    @property
    def num_parts(self) -> int:
        """How many there are; none where there are no rows."""
        return -(-self.num_rows // self.part_rows)

    def part(self, number: int) -> Part:
        """Return one of them."""
        start = number * self.part_rows
        return Part(number, start, min(start + self.part_rows, self.num_rows))

    def every(self) -> Iterator[Part]:
        """Yield all of them in order."""
        return map(self.part, range(self.num_parts))

    def file_name(self, number: int) -> str:
        """Return the name of a part's file; the files' names sort as their numbers do."""
        width = max(_DIGITS, len(str(self.num_parts - 1)))
        return f"part-{number:0{width}}.parquet"


def rows_told(start: int, stop: int) -> str:
    """Return in words which rows these are, the last one included."""
    return f"row {start:,}" if stop - start == 1 else f"rows {start:,} to {stop - 1:,}"


def located(error: DureError, where: str) -> DureError:
    """Return the same error with where it came about before its message; its class and fields stay."""
    fields = {key: value for key, value in to_wire(error).items() if key != "results"}
    fields["message"] = f"{where}: {fields['message']}"
    return from_wire(fields)
