"""Work without work: an Executor that gives every document the same vector, so that only the way costs."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from dure import Document, DocumentArray, Executor, requests
from vector import VECTOR


class Noop(Executor):
    """Answers every endpoint."""

    @requests
    def encode(self, docs: DocumentArray, **_kwargs: Any) -> None:
        docs.embeddings = np.repeat(VECTOR[None], len(docs), axis=0)


def documents(count: int) -> Iterator[Document]:
    """Documents about as long as the tutorial's sentence, each different from the others."""
    return (Document(text=f"Sentence {number:09d} is about as long as that of the tutorial") for number in range(count))
