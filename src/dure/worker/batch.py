"""Requests that are served together: read as one array of documents, and taken apart again, exactly.

Knows what may come back from a method. Calls none.
"""

from collections.abc import Iterator
from time import perf_counter
from typing import Any, TypeAlias

import msgspec
import numpy as np

from dure.document import plain
from dure.document.array import DocumentArray
from dure.document.document import ARRAYS, NESTED, Document
from dure.document.forms import COLUMNS, decode_form, encode_form
from dure.document.merge import concatenate, join, split
from dure.errors import ValidationError
from dure.transport.frames import Buffers
from dure.transport.messages import BatchCall, Outcome, Spent

Answer: TypeAlias = tuple[Outcome, Buffers]


class NotMergeable(ValidationError):
    """What a method returned for several requests cannot be taken apart again."""

    code = "not_mergeable"


class Batch(msgspec.Struct):
    """Decoded requests on their way to one call. `ids` are those of the documents as they came."""

    call: BatchCall
    documents: DocumentArray
    branches: list[DocumentArray]
    counts: list[int]
    ids: list[str]

    @classmethod
    def read(cls, call: BatchCall, body: memoryview | bytearray, spent: Spent) -> "Batch":
        """Read the payloads of all requests.

        Raises:
            DecodeError: One of them is not what it claims to be.
        """
        begin = perf_counter()
        view = memoryview(body)
        at = 0
        arrays: list[DocumentArray] = []
        branches: list[DocumentArray] = []
        for item in call.items:
            branches = []
            for size in item.sizes:
                branches.append(decode_form(item.form, view[at : at + size]))
                at += size
            arrays.append(join(branches))
        documents = concatenate(arrays)
        merged = len(arrays) > 1
        if merged:
            _detach(documents)
        ids = documents.ids if merged else []
        spent.decode_s += perf_counter() - begin
        return cls(call, documents, branches, [len(array) for array in arrays], ids)

    @property
    def merged(self) -> bool:
        """Whether there is more than one request in it."""
        return len(self.counts) > 1

    def answers(self, returned: Any, spent: Spent) -> list[Answer | Exception]:
        """Take what a method returned apart: an answer for each request, or why it cannot be written.

        Raises:
            NotMergeable: There are several requests, and it is not clear whose is what.
            ValidationError: Nothing that a method may return.
        """
        begin = perf_counter()
        items = self.call.items
        result = b""
        if isinstance(returned, dict):
            result = _encode_result(returned, {item.form for item in items})
            returned = None
        documents = documents_of(returned, self.documents)
        counts = self.counts
        if self.merged:
            self._check_order(documents)
        else:
            counts = [len(documents)]
        answers: list[Answer | Exception] = []
        for item, part in zip(items, split(documents, counts), strict=True):
            try:
                pieces = encode_form(item.form, part)
            except Exception as error:  # noqa: BLE001 - of user's values, and of one request: the others are answered
                answers.append(error)
            else:
                answers.append((Outcome(False, len(part), length(pieces), result), pieces))
        spent.encode_s += perf_counter() - begin
        return answers

    def check_whose(self, returned: Any) -> None:
        """Refuse what a method returned if nothing but the count could tell which request it belongs to.

        Raises:
            NotMergeable: A dict, or documents that it was not given.
        """
        if isinstance(returned, dict):
            raise NotMergeable("returned a dict, which speaks of all requests of a call")
        if not set(self.ids).issuperset(documents_of(returned, self.documents).ids):
            raise NotMergeable("returned documents of its own making, of which nothing says whose they are")

    def _check_order(self, documents: DocumentArray) -> None:
        if len(documents) != len(self.ids):
            raise NotMergeable(
                f"returned {len(documents)} documents for {len(self.ids)}; requests are merged here"
                " (max_batch_size), so a method must give back as many documents as it got, in their order"
            )
        known = set(self.ids)
        if any(new != old and new in known for new, old in zip(documents.ids, self.ids, strict=True)):
            raise NotMergeable(
                "returned the documents in another order; requests are merged here (max_batch_size), so a method must"
                " give back the documents in the order in which it got them"
            )


def singles(call: BatchCall, body: memoryview | bytearray) -> Iterator[tuple[BatchCall, memoryview]]:
    """Yield each request of a batch as a batch of its own."""
    for at in range(len(call.items)):
        yield part(call, body, at, at + 1)


def part(call: BatchCall, body: memoryview | bytearray, start: int, end: int) -> tuple[BatchCall, memoryview]:
    """Return the requests `start` to `end` of a batch as a batch of their own."""
    sizes = [sum(item.sizes) for item in call.items[:end]]
    begin = sum(sizes[:start])
    chosen = memoryview(body)[begin : begin + sum(sizes[start:])]
    return BatchCall(call.endpoint, call.parameters, call.stream, call.items[start:end]), chosen


def documents_of(returned: Any, given: DocumentArray | None) -> DocumentArray:
    """Return the documents that a method returned; for None those it was given, if there are.

    Raises:
        ValidationError: It is nothing that a method may return.
    """
    if isinstance(returned, DocumentArray):
        return returned
    if isinstance(returned, Document):
        return DocumentArray(returned)
    if returned is None and given is not None:
        return given
    raise ValidationError(
        f"returned a {type(returned).__name__}; a method returns None, a DocumentArray or a dict,"
        " and a generator yields Documents or DocumentArrays"
    )


def length(pieces: Buffers) -> int:
    """Return the size of a payload in pieces, in bytes."""
    return sum([len(piece) for piece in pieces])


def _detach(documents: DocumentArray) -> None:
    # Arrays are still views of the payload, which must stay as it is: if the call fails, it is read again. Only arrays
    # of one shape, of the documents themselves, have been copied into one.
    if documents.is_list:
        for document in documents:
            for name in ARRAYS & vars(document).keys():
                setattr(document, name, np.array(getattr(document, name)))
            for name in NESTED & vars(document).keys():
                _detach_all(getattr(document, name))
        return
    for name, column in documents.columns().items():
        if name in ARRAYS and isinstance(column, list):
            documents.set_column(name, [None if value is None else np.array(value) for value in column])
        elif name in NESTED:
            for inner in column:
                if inner is not None:
                    _detach_all(inner)


def _detach_all(documents: DocumentArray) -> None:
    if not documents.is_list:
        for name, column in documents.columns().items():
            if name in ARRAYS and not isinstance(column, list):
                documents.set_column(name, np.array(column))
    _detach(documents)


def _encode_result(result: dict[str, Any], forms: set[str]) -> bytes:
    plain.check(result, "the dict returned")
    if not forms.issubset({COLUMNS}):
        plain.to_json(result, "the dict returned")  # which it will be sent as
    try:
        return msgspec.msgpack.encode(result, enc_hook=plain.encode_hook)
    except (TypeError, OverflowError, ValueError) as error:
        raise ValidationError(f"returned a dict that cannot be sent: {error}") from error
