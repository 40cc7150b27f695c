"""The embeddings of documents as OpenAI's clients read them: as numbers, or as base64 of little-endian float32.

Requests in this form are an array of texts, as `json_form.py` reads it. Knows nothing of requests.
"""

import base64
from typing import Any

import numpy as np

from dure.deps import require
from dure.document.array import DocumentArray
from dure.document.tensors import portable
from dure.errors import ValidationError


def encode(documents: DocumentArray, *, as_base64: bool) -> bytes:
    """Return a JSON array with an object per document: its place, and its embedding.

    Raises:
        TransferForbidden: An embedding lives on a device, inside `no_transfers()`.
        ValidationError: A document without an embedding, or one that holds NaN, infinity or complex numbers.
    """
    orjson = require("orjson", "http")
    column = documents.columns().get("embedding")
    if column is None or any(vector is None for vector in column):
        raise ValidationError("a document came back without an embedding; this endpoint makes none")
    rows: list[dict[str, Any]] = []
    for i, vector in enumerate(column):
        array = portable(vector, "embedding")
        if array.dtype.kind == "c":
            raise ValidationError(f"the embedding of document {i} is of complex numbers, which JSON does not have")
        numbers = np.ascontiguousarray(array, dtype="<f4").reshape(-1)
        if not np.isfinite(numbers).all():
            raise ValidationError(f"the embedding of document {i} is not finite, which JSON does not have")
        value = base64.b64encode(numbers.data).decode() if as_base64 else numbers
        rows.append({"object": "embedding", "index": i, "embedding": value})
    data: bytes = orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY)
    return data
