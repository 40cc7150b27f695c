"""What a client gets back: documents, and what became of the requests that failed.

Records only.
"""

from typing import Any

from msgspec import Struct

from dure.document.array import DocumentArray
from dure.errors import DureError
from dure.served import Served


class Failure(Struct, frozen=True):
    """A request that failed.

    `start` is the position of its first document among all that were sent, `documents` are those that were sent.
    """

    start: int
    documents: DocumentArray
    error: DureError


class Results(DocumentArray):
    """The documents of one answer, or of all of a `post`.

    Attributes:
        failures: Requests that failed, where the caller chose to go on (`continue_on_error`).
        parameters: `{"__results__": {executor: dict}}` where a method returned a dict.
        served: For each request that was answered, Executor name -> how it served it; with `explain=True` only.
    """

    __slots__ = ("failures", "parameters", "served")

    failures: list[Failure]
    parameters: dict[str, Any]
    served: list[dict[str, Served]]

    @classmethod
    def of(cls, documents: DocumentArray, parameters: dict[str, Any] | None = None) -> "Results":
        """Take over an array's documents, without looking at each."""
        self = cls.__new__(cls)
        self._documents, self._columns, self._rows = documents._documents, documents._columns, documents._rows
        self.failures = []
        self.parameters = parameters or {}
        self.served = []
        return self

    @property
    def docs(self) -> "Results":
        """These documents; for callbacks written as `lambda response: response.docs`."""
        return self

    @property
    def error(self) -> DureError | None:
        """The error of the first request that failed, if one did."""
        return self.failures[0].error if self.failures else None
