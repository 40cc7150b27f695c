"""Documents as a JSON array of objects, and back: for HTTP and WebSocket clients.

The same words as `Document.to_dict`: an unset field is left out, but never the id; a blob is base64. A document may be
given as its text alone. Knows nothing of requests.
"""

import base64
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from dure.deps import require
from dure.document import dicts, plain
from dure.document.array import DocumentArray
from dure.document.bounds import MAX_NESTING
from dure.document.column import Column
from dure.document.document import ARRAYS, DICTS, NESTED, TEXTS, Document
from dure.document.tensors import to_plain_arrays
from dure.errors import DecodeError, ValidationError


def decode(payload: bytes | bytearray | memoryview) -> DocumentArray:
    """Read a JSON array of documents.

    Raises:
        DecodeError: Not such an array; the message has the position of the document.
    """
    rows = _rows(payload)
    columns = _texts(rows)
    if columns is not None:
        return DocumentArray.from_columns(len(rows), columns)
    try:
        return DocumentArray(_document(row, f"data[{i}]") for i, row in enumerate(rows))
    except ValidationError as error:
        raise DecodeError(str(error)) from error
    except RecursionError as error:
        raise DecodeError("documents are nested too deeply") from error


def _rows(payload: bytes | bytearray | memoryview) -> list[Any]:
    try:
        rows = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DecodeError(f"data is not JSON: {error}") from error
    if not isinstance(rows, list):
        raise DecodeError(f"data must be an array of documents, not {rows!r:.60}")
    return rows


def _texts(rows: list[Any]) -> dict[str, Column] | None:
    """Return columns, if the documents hold texts alone and all of them the same ones."""
    keys = rows[0].keys() if rows and isinstance(rows[0], dict) else ()
    if not keys or not TEXTS.issuperset(keys):
        return None
    if not all(isinstance(row, dict) and row.keys() == keys and set(map(type, row.values())) == {str} for row in rows):
        return None
    return {name: [row[name] for row in rows] for name in keys}


def _document(row: Any, at: str) -> Document:
    return Document(row) if isinstance(row, str) else Document.from_dict(row, at=at)


def encode(documents: DocumentArray) -> bytes:
    """Return a JSON array of documents.

    Raises:
        TransferForbidden: An array lives on a device, inside `no_transfers()`.
        ValidationError: A value that JSON lacks: NaN, infinity, complex numbers, objects in `tags`.
    """
    orjson = require("orjson", "http")
    rows = _plain_rows(documents, 0)
    try:
        data: bytes = orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:  # also of lone surrogates, and of whole numbers of more than 64 bits
        raise ValidationError(f"documents cannot be sent as JSON: {error}") from error
    # NaN and infinity are written as null.
    if b"null" in data:
        plain.refuse_nan(rows, "data")
    return data


def _plain_rows(documents: DocumentArray, depth: int) -> list[dict[str, Any]]:
    if depth > MAX_NESTING:
        raise ValidationError(f"chunks or matches are nested more than {MAX_NESTING} deep, or contain themselves")
    rows: list[dict[str, Any]] = [{"id": name} for name in documents.ids]
    for name, column in documents.columns().items():
        for row, value in zip(rows, _values(name, column, depth), strict=True):
            if value is not None:
                row[name] = value
    return rows


def _values(name: str, column: Column, depth: int) -> Iterable[Any]:
    if name in ARRAYS:
        return [None if value is None else _array(name, value) for value in column]
    if name in NESTED:
        return [_plain_rows(v, depth + 1) if v else None for v in column]
    if name == "blob":
        return [base64.b64encode(v).decode() if v else None for v in column]
    if name in DICTS:
        dicts.check_column(column, name)
    return [value or None for value in column]


def _array(name: str, value: Any) -> Any:
    array = to_plain_arrays(value, name, always_float32=name == "embedding")
    return array.tolist() if isinstance(array, np.ndarray) and array.ndim == 0 else array


def text_sizes(payload: bytes | bytearray | memoryview) -> list[int]:
    """Return the size of each document's text, in bytes of UTF-8.

    Raises:
        DecodeError: Not a JSON array of documents.
    """
    texts = [
        row if isinstance(row, str) else row.get("text") if isinstance(row, dict) else "" for row in _rows(payload)
    ]
    return [len(text.encode(errors="replace")) if isinstance(text, str) else 0 for text in texts]
