"""Documents as one run of bytes, column by column, and back.

    payload = u32 length of meta | meta (msgpack) | padding to 8 | buffers, each padded to 8
    meta    = [rows, [[field, kind, values, dtype, shape, nbytes], ...]]

kinds: `values` (texts, tags: in meta) · `bytes` (a length a row) · `array` (one for all rows) ·
`arrays` (a dtype and shape a row) · `documents` (a count a row; the buffer is a payload again).
Little-endian. Nothing is executed to decode, and every length is checked before it is believed.
"""

import struct
from math import prod
from types import NoneType
from typing import Any, TypeAlias

import msgspec
import numpy as np

from dure.document import dicts, plain
from dure.document.array import DocumentArray
from dure.document.bounds import MAX_AXES, MAX_NESTING
from dure.document.column import Column
from dure.document.document import ARRAYS, DICTS, FIELDS, NESTED, TEXTS
from dure.document.merge import split
from dure.document.tensors import DTYPES, checked_flags, portable
from dure.errors import DecodeError, ValidationError

Buffers: TypeAlias = list[bytes | bytearray | memoryview]
"""Pieces that make one payload when written one after the other."""

_LENGTH = struct.Struct("<I")
_PADDING = [b"\0" * n for n in range(8)]


class _Column(msgspec.Struct, array_like=True, frozen=True):
    name: str
    kind: str
    values: Any = None
    dtype: str = ""
    shape: list[int] = []
    nbytes: int = 0


class _Meta(msgspec.Struct, array_like=True, frozen=True):
    rows: int
    columns: list[_Column]


_encoder = msgspec.msgpack.Encoder(enc_hook=plain.encode_hook)
_decoder = msgspec.msgpack.Decoder(_Meta)


def encode(documents: DocumentArray) -> Buffers:
    """Return the payload of some documents, in pieces; arrays on the host are not copied.

    Raises:
        TransferForbidden: An array lives on a device, inside `no_transfers()`.
        ValidationError: A value that cannot travel (an object in `tags`, lone surrogates, …).
    """
    return _encode(documents, 0)


def _encode(documents: DocumentArray, depth: int) -> Buffers:
    if depth > MAX_NESTING:
        raise ValidationError(f"chunks or matches are nested more than {MAX_NESTING} deep, or contain themselves")
    columns = documents.columns()
    buffers: Buffers = []
    described = [_describe(name, column, buffers, depth) for name, column in columns.items()]
    try:
        meta = _encoder.encode(_Meta(len(documents), described))
    except (TypeError, ValueError, OverflowError) as error:
        raise ValidationError(_blame(columns, error)) from error
    start = _LENGTH.size + len(meta)
    return [_LENGTH.pack(len(meta)) + meta + _PADDING[-start % 8], *buffers]


def _describe(name: str, column: Column, buffers: Buffers, depth: int) -> _Column:
    if name in ARRAYS:
        return _describe_arrays(name, column, buffers)
    if name in NESTED:
        counts = [-1 if inner is None else len(inner) for inner in column]
        inner = DocumentArray(document for part in column if part is not None for document in part)
        pieces = _encode(inner, depth + 1)
        buffers.extend(pieces)
        return _Column(name, "documents", counts, nbytes=sum(map(len, pieces)))
    if name == "blob":
        _check_type(name, column, bytes)
        lengths = [-1 if blob is None else len(blob) for blob in column]
        nbytes = _append(b"".join([blob for blob in column if blob is not None]), buffers)
        return _Column(name, "bytes", lengths, nbytes=nbytes)
    if name in DICTS:
        dicts.check_column(column, name)
    else:
        _check_type(name, column, str)
    return _Column(name, "values", column)


def _check_type(name: str, column: Column, kind: type) -> None:
    if set(map(type, column)) <= {kind, NoneType}:
        return
    for i, value in enumerate(column):
        if value is not None and not isinstance(value, kind):
            found = f"{type(value).__name__} ({value!r:.80})"
            raise ValidationError(f"{name} of document {i} must be {kind.__name__}, not {found}")


def _describe_arrays(name: str, column: Column, buffers: Buffers) -> _Column:
    if not isinstance(column, list):
        array = portable(column, name)
        # A memoryview cannot be cast while an axis is empty.
        data = array.data.cast("B") if array.size else b""
        shape = list(array.shape)
        return _Column(name, "array", None, array.dtype.str, shape, _append(data, buffers))
    arrays = [None if value is None else portable(value, f"{name} of document {i}") for i, value in enumerate(column)]
    values = [None if a is None else (a.dtype.str, a.shape) for a in arrays]
    nbytes = _append(b"".join([a.tobytes() for a in arrays if a is not None]), buffers)
    return _Column(name, "arrays", values, nbytes=nbytes)


def _append(data: bytes | memoryview, buffers: Buffers) -> int:
    size = len(data)
    buffers.append(data)
    if size % 8:
        buffers.append(_PADDING[-size % 8])
    return size


def _blame(columns: dict[str, Column], error: Exception) -> str:
    for name in columns.keys() - ARRAYS - NESTED - {"blob"}:
        for i, value in enumerate(columns[name]):
            try:
                _encoder.encode(value)
            except (TypeError, ValueError, OverflowError) as found:
                return f"{name} of document {i} cannot be sent: {found}"
    return f"these documents cannot be sent: {error}"


def decode(payload: bytes | bytearray | memoryview) -> DocumentArray:
    """Read a payload. Arrays are views of it (writable if it is), one copy less.

    Raises:
        DecodeError: The bytes are not a payload, or a length in them is wrong.
    """
    try:
        return _decode(memoryview(payload), 0)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DecodeError(f"the payload's description cannot be read: {error}") from error
    except ValidationError as error:
        raise DecodeError(str(error)) from error


def text_sizes(payload: bytes | bytearray | memoryview) -> list[int]:
    """Return the size of each document's text, in bytes of UTF-8; nothing else of the payload is read.

    Raises:
        DecodeError: The bytes are not a payload.
    """
    try:
        meta, _ = _read_meta(memoryview(payload))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DecodeError(f"the payload's description cannot be read: {error}") from error
    _check_rows(meta)
    texts = next((column.values for column in meta.columns if column.name == "text"), None)
    if not isinstance(texts, list):
        return [0] * meta.rows
    return [len(text.encode()) if isinstance(text, str) else 0 for text in texts]


def _read_meta(view: memoryview) -> tuple[_Meta, int]:
    if len(view) < _LENGTH.size:
        raise DecodeError(f"a payload of {len(view)} bytes is too short to be one")
    end = _LENGTH.size + _LENGTH.unpack_from(view)[0]
    if end > len(view):
        raise DecodeError(f"the payload's description ends at byte {end} of {len(view)}")
    return _decoder.decode(view[_LENGTH.size : end]), end + -end % 8


def _check_rows(meta: _Meta) -> None:
    # Without ids nothing would bound the number of rows: other columns may be missing, or empty.
    ids: Any = next((column.values for column in meta.columns if column.name == "id"), [])
    if not isinstance(ids, list) or len(ids) != meta.rows:
        raise DecodeError(f"there are no ids for {meta.rows} documents")


def _decode(view: memoryview, depth: int) -> DocumentArray:
    if depth > MAX_NESTING:
        raise DecodeError(f"documents are nested more than {MAX_NESTING} deep")
    meta, at = _read_meta(view)
    _check_rows(meta)
    columns: dict[str, Column] = {}
    for described in meta.columns:
        name, nbytes = described.name, described.nbytes
        if name not in FIELDS or name in columns:
            raise DecodeError(f"unknown or repeated field {name!r:.40}")
        if nbytes < 0 or at + nbytes > len(view):
            raise DecodeError(f"{name}: {nbytes} bytes at {at} do not fit into {len(view)}")
        columns[name] = _column(meta.rows, described, view[at : at + nbytes], depth)
        at += nbytes + -nbytes % 8
    if at != len(view):
        raise DecodeError(f"the payload has {len(view)} bytes where it describes {at}")
    return DocumentArray.from_columns(meta.rows, columns)


def _column(rows: int, described: _Column, data: memoryview, depth: int) -> Column:
    name, kind, values = described.name, described.kind, described.values
    if kind == "array" and name in ARRAYS and described.shape:
        return _array(name, described.dtype, described.shape, data)
    if not isinstance(values, list) or len(values) != rows:
        raise DecodeError(f"{name} does not have one value for each of {rows} documents")
    if kind == "values" and name in TEXTS:
        if not set(map(type, values)) <= {str, NoneType}:
            raise DecodeError(f"{name} must hold texts")
        return values
    if kind == "values" and name in DICTS:
        dicts.check_column(values, name)
        return values
    if kind == "arrays" and name in ARRAYS:
        return _arrays(name, values, data)
    parts: list[Any]
    if kind == "bytes" and name == "blob":
        ends = _ends(name, values, len(data))
        parts = [bytes(data[end - max(n, 0) : end]) for end, n in zip(ends, values, strict=True)]
    elif kind == "documents" and name in NESTED:
        inner = _decode(data, depth + 1)
        _ends(name, values, len(inner))
        parts = split(inner, [max(n, 0) for n in values])
    else:
        raise DecodeError(f"a column {name!r} of kind {kind!r:.40} is unknown")
    return [None if n < 0 else part for part, n in zip(parts, values, strict=True)]


def _ends(name: str, lengths: list[Any], total: int) -> list[int]:
    ends, at = [], 0
    for length in lengths:
        if type(length) is not int or length < -1:
            raise DecodeError(f"{name}: {length!r:.40} is no length")
        at += max(length, 0)
        ends.append(at)
    if at != total:
        raise DecodeError(f"{name}: lengths add up to {at}, there are {total}")
    return ends


def _array(name: str, dtype: Any, shape: Any, data: memoryview) -> np.ndarray:
    if _nbytes(name, dtype, shape) != len(data):
        raise DecodeError(f"{name}: shape {shape} of {dtype} does not take {len(data)} bytes")
    try:
        return checked_flags(np.frombuffer(data, DTYPES[dtype]), name).reshape(shape)
    except ValueError as error:  # an axis of 0 beside one that no array can have
        raise DecodeError(f"{name}: {shape} is no shape: {error}") from error


def _nbytes(name: str, dtype: Any, shape: Any) -> int:
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise DecodeError(f"{name}: {dtype!r:.40} is no type of number")
    if not isinstance(shape, list) or len(shape) > MAX_AXES:
        raise DecodeError(f"{name}: {shape!r:.60} is no shape")
    for n in shape:
        if type(n) is not int or n < 0:
            raise DecodeError(f"{name}: {shape!r:.60} is no shape")
    return prod(shape) * DTYPES[dtype].itemsize


def _arrays(name: str, values: list[Any], data: memoryview) -> Column:
    rows: list[Any] = []
    at = 0
    for value in values:
        if value is None:
            rows.append(None)
            continue
        if not isinstance(value, list) or len(value) != 2:
            raise DecodeError(f"{name}: {value!r:.40} is no type and shape")
        dtype, shape = value
        nbytes = _nbytes(name, dtype, shape)
        rows.append(_array(name, dtype, shape, data[at : at + nbytes]))
        at += nbytes
    if at != len(data):
        raise DecodeError(f"{name}: arrays take {at} bytes, there are {len(data)}")
    return rows
