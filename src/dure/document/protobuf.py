"""Documents as the protobuf message `Documents` of `dure.proto`, and back: for public gRPC clients.

A document's unset text is "", as protobuf has no other word for it. Knows nothing of requests.
"""

from math import prod
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError as ProtobufError

from dure.document import dicts, plain
from dure.document import dure_pb2 as pb
from dure.document.array import DocumentArray
from dure.document.bounds import MAX_AXES, MAX_NESTING
from dure.document.column import Column
from dure.document.document import ARRAYS, NESTED
from dure.document.tensors import DTYPES, checked_flags, portable
from dure.errors import DecodeError, ValidationError

_TEXTS = ("id", "text", "uri", "mime_type")


def encode(documents: DocumentArray) -> bytes:
    """Return a serialised `Documents`.

    Raises:
        TransferForbidden: An array lives on a device, inside `no_transfers()`.
        ValidationError: A value that cannot travel, for example an object in `tags`.
    """
    return _message(documents, 0).SerializeToString()


def _message(documents: DocumentArray, depth: int) -> pb.Documents:
    if depth > MAX_NESTING:
        raise ValidationError(f"chunks or matches are nested more than {MAX_NESTING} deep, or contain themselves")
    out = pb.Documents(rows=len(documents))
    for name, column in documents.columns().items():
        try:
            _write(out, name, column, depth)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValidationError(f"{name} cannot be sent: {error}") from error
    return out


def _write(out: pb.Documents, name: str, column: Column, depth: int) -> None:
    if name in _TEXTS:
        getattr(out, name).extend(["" if v is None else v for v in column])
    elif name == "blob":
        out.blob.extend([b"" if v is None else v for v in column])
    elif name == "tags":
        dicts.check_column(column, name)
        out.tags_json.extend([plain.to_json(v or {}, f"tags[{i}]") for i, v in enumerate(column)])
    elif name == "scores":
        dicts.check_column(column, name)
        out.scores.extend([pb.Scores(values=v or {}) for v in column])
    elif name in NESTED:
        inside = [DocumentArray() if v is None else v for v in column]
        getattr(out, name).extend([_message(documents, depth + 1) for documents in inside])
    else:
        _write_arrays(name, getattr(out, name), column)


def _write_arrays(name: str, out: pb.Tensors, column: Column) -> None:
    if not isinstance(column, list):
        array = portable(column, name)
        out.dtype, out.data = array.dtype.str, array.tobytes()
        out.shape.extend(array.shape[1:])
        return
    for value in column:
        if value is None:
            out.each.append(pb.Tensor(unset=True))
        else:
            array = portable(value, name)
            data = array.tobytes()
            out.each.append(pb.Tensor(dtype=array.dtype.str, shape=array.shape, data=data))


def decode(payload: bytes | bytearray | memoryview) -> DocumentArray:
    """Read a serialised `Documents`.

    Raises:
        DecodeError: The bytes are no such message, or lengths in it do not agree.
    """
    try:
        return _documents(pb.Documents.FromString(bytes(payload)), 0)
    except ProtobufError as error:
        raise DecodeError(f"not a protobuf Documents: {error}") from error
    except ValidationError as error:
        raise DecodeError(str(error)) from error


def text_sizes(payload: bytes | bytearray | memoryview) -> list[int]:
    """Return the size of each document's text, in bytes of UTF-8; nothing else of the message is kept.

    Raises:
        DecodeError: The bytes are no such message.
    """
    try:
        found = pb.DocumentsTexts.FromString(bytes(payload))
    except ProtobufError as error:
        raise DecodeError(f"not a protobuf Documents: {error}") from error
    if found.rows > len(payload):  # as `_check_size`
        raise DecodeError(f"{found.rows} documents do not fit into {len(payload)} bytes")
    return [len(text.encode()) for text in found.text] or [0] * found.rows


def _documents(found: pb.Documents, depth: int) -> DocumentArray:
    _check_size(found, depth)
    if not found.ByteSize():  # two bytes of a message can say so, thousands of times
        return DocumentArray.from_columns(0, {})
    columns: dict[str, Column] = {}
    for name in (*_TEXTS, "blob"):
        values: list[Any] = list(getattr(found, name))
        if values:
            columns[name] = values
    if found.tags_json:
        columns["tags"] = [_tags(text) for text in found.tags_json]
    if found.scores:
        columns["scores"] = [dict(scores.values) for scores in found.scores]
    for name in sorted(ARRAYS):
        if found.HasField(name):
            columns[name] = _read_arrays(name, getattr(found, name), found.rows)
    for name in sorted(NESTED):
        values = [_documents(inner, depth + 1) for inner in getattr(found, name)]
        if values:
            columns[name] = values
    return DocumentArray.from_columns(found.rows, columns)


def _check_size(found: pb.Documents, depth: int) -> None:
    if depth > MAX_NESTING:
        raise DecodeError(f"documents are nested more than {MAX_NESTING} deep")
    if found.rows > found.ByteSize():  # else nothing would bound it: every list may be empty
        raise DecodeError(f"{found.rows} documents do not fit into {found.ByteSize()} bytes")


def _tags(text: str) -> dict[str, Any]:
    return dicts.read(plain.from_json(text, "tags_json"), "tags", "tags_json") if text else {}


def _read_arrays(name: str, found: pb.Tensors, rows: int) -> Column:
    if found.each:
        return [None if t.unset else _array(name, t.dtype, list(t.shape), t.data) for t in found.each]
    return _array(name, found.dtype, [rows, *found.shape], found.data)


def _array(name: str, dtype: str, shape: list[int], data: bytes) -> np.ndarray:
    number = DTYPES.get(dtype)
    if number is None or len(shape) > MAX_AXES or prod(shape) * number.itemsize != len(data):
        raise DecodeError(f"{name}: shape {shape} of {dtype!r:.40} does not fit {len(data)} bytes")
    try:
        # Through a bytearray, so that who gets the array may write into it.
        return checked_flags(np.frombuffer(bytearray(data), number), name).reshape(shape)
    except ValueError as error:  # an axis of 0 beside one that no array can have
        raise DecodeError(f"{name}: {shape} is no shape: {error}") from error
