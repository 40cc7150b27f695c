"""What an Executor answers to a part, request by request: exactly one row for each row, in order, or an error.

Knows which rows are in which request. Sends nothing.
"""

from dure.bulk.part import Part, rows_told
from dure.document.array import DocumentArray
from dure.document.merge import concatenate
from dure.errors import ValidationError


class Answers:
    """Collects the answers to one part, in the order of its requests.

    Args:
        part: The part.
        given: Its documents.
        request_size: Documents of a request; the last one may have fewer.
    """

    def __init__(self, part: Part, given: DocumentArray, request_size: int) -> None:
        self._part = part
        self._ids: list[str] = given.ids
        self._request_size = request_size
        self._answers: list[DocumentArray] = []
        self._at = 0

    def add(self, answer: DocumentArray) -> None:
        """Take in the next answer.

        Raises:
            ValidationError: It has more or fewer rows than were given, or has them in another order.
        """
        start, stop = self._next()
        given, got = self._ids[start:stop], answer.ids
        if len(got) != len(given):
            raise ValidationError(
                f"the Executor returned {len(got):,} rows for {len(given):,}; a map needs exactly one"
                " for each, in their order"
            )
        known = set(given)
        if any(new != old and new in known for new, old in zip(got, given, strict=True)):
            raise ValidationError("the Executor returned the rows in another order than it was given them")
        self._answers.append(answer)
        self._at = stop

    def whole(self) -> DocumentArray:
        """Return all rows."""
        return concatenate(self._answers)

    def _next(self) -> tuple[int, int]:
        return self._at, min(self._at + self._request_size, len(self._ids))

    def where(self) -> str:
        """Return in words which rows are to be answered next: those that an error is about."""
        start, stop = self._next()
        first = self._part.start
        return f"part {self._part.number}, {rows_told(first + start, first + stop)}"
