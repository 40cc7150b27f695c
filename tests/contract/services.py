"""Executors for the suites of this folder, in a module of their own, since workers import it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from dure import Document, DocumentArray, Executor, requests


class Refused(Exception):
    """An exception of a user, with a field of its own."""

    def __init__(self, reason: str, count: int) -> None:
        super().__init__(reason, count)


class Station(Executor):
    """One endpoint for everything that a client has to get right."""

    @requests(on="/same")
    def same(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Give back what came."""

    @requests(on="/number")
    def number(self, docs: DocumentArray, **kwargs: Any) -> None:
        for doc in docs:
            doc.tags["length"] = len(doc.text)

    @requests(on="/sleep")
    async def sleep(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Be as slow as the first document says, so that answers overtake each other."""
        await asyncio.sleep(docs[0].tags["seconds"])

    @requests(on="/parts")
    def parts(self, docs: DocumentArray, parameters: dict[str, Any]) -> Iterator[Document]:
        for doc in docs:
            for i in range(parameters["count"]):
                yield Document(text=f"{doc.text}{i}")

    @requests(on="/async_parts")
    async def async_parts(self, docs: DocumentArray, parameters: dict[str, Any]) -> AsyncIterator[DocumentArray]:
        for doc in docs:
            for i in range(parameters["count"]):
                await asyncio.sleep(0)
                yield DocumentArray([Document(text=f"{doc.text}{i}")])

    @requests(on="/part_then_fail")
    def part_then_fail(self, docs: DocumentArray, **kwargs: Any) -> Iterator[Document]:
        yield Document(text="first")
        raise Refused("no second part", 2)

    @requests(on="/endless")
    async def endless(self, docs: DocumentArray, parameters: dict[str, Any]) -> AsyncIterator[Document]:
        """Yield until nobody wants any more; then make a file."""
        with closing_note(Path(parameters["path"])):
            while True:
                await asyncio.sleep(0.005)
                yield Document(text="more")

    @requests(on="/wide")
    def wide(self, docs: DocumentArray, parameters: dict[str, Any]) -> Iterator[Document]:
        """Yield large parts, and keep a file up to date with how many."""
        for i in range(parameters["count"]):
            Path(parameters["path"]).write_text(str(i + 1), encoding="utf-8")
            yield Document(blob=bytes(parameters["size"]))

    @requests(on="/told")
    def told(self, docs: DocumentArray, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"parameters": parameters, "types": {k: type(v).__name__ for k, v in parameters.items()}}

    @requests(on="/shorter")
    def shorter(self, docs: DocumentArray, **kwargs: Any) -> DocumentArray:
        return docs[::2]

    @requests(on="/longer")
    def longer(self, docs: DocumentArray, **kwargs: Any) -> DocumentArray:
        return DocumentArray(Document(text=f"{doc.text}{i}") for doc in docs for i in range(3))

    @requests(on="/none_left")
    def none_left(self, docs: DocumentArray, **kwargs: Any) -> DocumentArray:
        return DocumentArray()

    @requests(on="/picky")
    def picky(self, docs: DocumentArray, **kwargs: Any) -> None:
        for doc in docs:
            if doc.text == "bad":
                raise Refused("나쁜 문서 💥", len(docs))

    @requests(on="/raise")
    def fail(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        kind = {"unprintable": Unprintable, "surrogate": ValueError}[parameters["kind"]]
        raise kind("\ud800")

    @requests(on="/cancelled")
    async def cancelled(self, docs: DocumentArray, **kwargs: Any) -> None:
        raise asyncio.CancelledError

    @requests(on="/wrong_type")
    def wrong_type(self, docs: DocumentArray, **kwargs: Any) -> Any:
        return 42

    @requests(on="/bad_dict")
    def bad_dict(self, docs: DocumentArray, **kwargs: Any) -> dict[str, Any]:
        return {"when": {1, 2}}

    @requests(on="/log")
    def log(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        """Write a line for each call, slowly."""
        with Path(parameters["path"]).open("a", encoding="utf-8") as file:
            file.write(docs[0].text + "\n")
        time.sleep(parameters.get("seconds", 0.0))


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Slow(Executor):
    """Takes one call after the other, slowly, and counts them in a file."""

    def __init__(self, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._path = Path(path)

    @requests
    def work(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(f"{doc.text}\n" for doc in docs)
        time.sleep(parameters.get("seconds", 0.02))


@contextlib.contextmanager
def closing_note(path: Path) -> Iterator[None]:
    """Make a file when the block is left, however that happens."""
    try:
        yield
    finally:
        path.touch()


def numbered(count: int) -> DocumentArray:
    return DocumentArray(Document(text=str(i)) for i in range(count))


def overtaking() -> Iterator[Document]:
    for i in range(12):
        yield Document(text=str(i), tags={"seconds": 0.15 if i % 4 == 0 else 0.0})


def lines(path: Path) -> list[str]:
    """Return the lines of a file that an Executor writes, none if it is not there yet."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8").splitlines()
    return []
