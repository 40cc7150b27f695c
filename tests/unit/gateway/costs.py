"""Functions that tell what a document costs, where `module:function` finds them."""

from dure.document.document import Document

NO_FUNCTION = 3


def letters(document: Document) -> int:
    return len(document.text)


def failing(document: Document) -> float:
    raise KeyError("no such tag")


def negative(document: Document) -> float:
    return -1.0


def endless(document: Document) -> float:
    return float("inf")


def unknown(document: Document) -> float:
    return float("nan")
