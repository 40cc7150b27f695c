"""What a peer's server is asked to do, and the encoder behind it. Runs where the peers are installed, without dure."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from vector import VECTOR

Encode = Callable[[list[str]], np.ndarray]
VARIABLE = "PEER_JOB"


@dataclass(frozen=True)
class Job:
    """`model` is a folder, or empty for a no-op; `wire` is "json" or "msgpack"."""

    port: int
    model: str = ""
    batching: bool = False
    wire: str = "json"
    max_batch_size: int = 64
    max_wait_s: float = 0.005

    @classmethod
    def asked(cls) -> "Job":
        return cls(**json.loads(os.environ[VARIABLE]))

    def encoder(self) -> Encode:
        """The library's own `encode`, with the batch size that the library chooses, or the no-op."""
        if not self.model:
            return lambda texts: np.repeat(VECTOR[None], len(texts), axis=0)
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(self.model, device="cpu")
        return lambda texts: np.asarray(model.encode(texts))


def encode_groups(encode: Encode, groups: Sequence[list[str]]) -> list[np.ndarray]:
    """Encode the texts of several requests in one call; return the vectors of each request."""
    rows = encode([text for group in groups for text in group])
    return np.split(rows, np.cumsum([len(group) for group in groups])[:-1])


def texts_of(request: dict[str, Any]) -> list[str]:
    return [document["text"] for document in request["data"]]


def answer(rows: np.ndarray) -> bytes:
    """The answer as JSON, written as fast as Python can."""
    return orjson.dumps({"data": [{"embedding": row} for row in rows]}, option=orjson.OPT_SERIALIZE_NUMPY)
