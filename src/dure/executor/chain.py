"""Executors in one process that take their documents from each other: as one Executor, without a copy between them.

Knows methods and endpoints. Does not know how it came to be in one process, nor where documents come from.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.errors import SpecError, ValidationError
from dure.executor.base import Executor
from dure.executor.endpoints import DEFAULT, Endpoint
from dure.executor.parameters import checked
from dure.executor.stages import stage

MEMBER = "__dure_member__"
"""Attribute of an exception that says which Executor of a chain raised it."""


class Chain(Executor):
    """Executors, one after the other.

    An endpoint is answered by those that have a method for it, in their order; the documents that one returns, or has
    changed, are what the next one gets.

    Args:
        members: Name -> Executor, in their order.

    Raises:
        SpecError: A method is a generator, which would be a whole answer by itself.
    """

    def __init__(self, members: Mapping[str, Executor]) -> None:
        self._members = dict(members)
        names = dict.fromkeys(name for member in members.values() for name in member.requests)
        self.requests = {name: self._endpoint(i, name) for i, name in enumerate(names)}

    def warm_up(self) -> None:
        """Warm every member up."""
        for member in self._members.values():
            member.warm_up()

    def close(self) -> None:
        """Close the members, the last first."""
        for member in reversed(self._members.values()):
            member.close()

    def _endpoint(self, i: int, name: str) -> Endpoint:
        rows = {key: row for key, member in self._members.items() if (row := _row(member, name)) is not None}
        for key, row in rows.items():
            if row.streaming:
                raise SpecError(f"{key}.group: {row.method!r} is a generator; give {key!r} a process of its own")
        steps = [(key, getattr(self._members[key], row.method), row) for key, row in rows.items()]
        asynchronous = any(row.asynchronous for row in rows.values())
        method = f"_serve_{i}"
        setattr(self, method, _served_async(steps) if asynchronous else _served(steps))
        return Endpoint(
            name=name,
            method=method,
            asynchronous=asynchronous,
            streaming=False,
            arguments=("docs", "parameters", "docs_matrix"),
            batching=min((row.batching for row in rows.values()), key=lambda spec: spec.max_batch_size),
            asked=any(row.asked for row in rows.values()),
            description=" ".join(row.description for row in rows.values() if row.description),
        )


_Steps = list[tuple[str, Callable[..., Any], Endpoint]]


def _row(member: Executor, name: str) -> Endpoint | None:
    return member.requests.get(name) or member.requests.get(DEFAULT)


def _served(steps: _Steps) -> Callable[..., DocumentArray]:
    def serve(docs: DocumentArray, **given: Any) -> DocumentArray:
        for key, method, row in steps:
            try:
                with stage(key):
                    returned = method(**_arguments(row, docs, given))
                docs = _next(key, returned, docs)
            except Exception as error:
                _blame(error, key)
                raise
            given["docs_matrix"] = None
        return docs

    return serve


def _served_async(steps: _Steps) -> Callable[..., Any]:
    async def serve(docs: DocumentArray, **given: Any) -> DocumentArray:
        for key, method, row in steps:
            try:
                with stage(key):
                    returned = method(**_arguments(row, docs, given))
                    if inspect.isawaitable(returned):
                        returned = await returned
                docs = _next(key, returned, docs)
            except Exception as error:
                _blame(error, key)
                raise
            given["docs_matrix"] = None
        return docs

    return serve


def _arguments(row: Endpoint, docs: DocumentArray, given: dict[str, Any]) -> dict[str, Any]:
    chosen = {"docs": docs, **{name: value for name, value in given.items() if name in row.arguments}}
    if row.takes is not None:
        chosen["parameters"] = checked(row.takes, given["parameters"])
    return chosen


def _next(key: str, returned: Any, docs: DocumentArray) -> DocumentArray:
    if returned is None:
        return docs
    if isinstance(returned, DocumentArray):
        return returned
    if isinstance(returned, Document):
        return DocumentArray(returned)
    raise ValidationError(
        f"{key} returned a {type(returned).__name__}; in a group a method returns None or a DocumentArray"
        " (give it a process of its own for anything else)"
    )


def _blame(error: Exception, key: str) -> None:
    if not hasattr(error, MEMBER):
        vars(error)[MEMBER] = key
