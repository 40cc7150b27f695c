"""Documents as one run of bytes, column by column, and back.

    payload = u32 length of meta | meta (msgpack) | padding to 8 | buffers, each padded to 8
    meta    = [rows, [[field, kind, values, dtype, shape, nbytes], ...]]

kinds: `values` (texts, tags: in meta) · `bytes` (one length a row in meta, one buffer) · `array` (one buffer for all
rows) · `arrays` (a dtype and shape a row) · `documents` (a count a row; the buffer is a payload of its own).
Little-endian. Nothing is executed to decode, and every length is checked before it is believed.
"""

import struct
from typing import Any, TypeAlias

import msgspec
import numpy as np

from dure.document.array import Column, DocumentArray, stack
from dure.document.document import FIELDS
from dure.errors import DecodeError, ValidationError

Buffers: TypeAlias = list[bytes | memoryview]
"""Pieces that make one payload when written one after the other."""

_LENGTH = struct.Struct("<I")
_ARRAYS = frozenset(("tensor", "embedding"))
_TEXTS = frozenset(("id", "text", "uri", "mime_type"))
_NESTED = frozenset(("chunks", "matches"))
_MAX_DEPTH = 8
_PADDING = [b"\0" * n for n in range(8)]


class _Column(msgspec.Struct, array_like=True, frozen=True):
    name: str
    kind: str
    values: Any
    dtype: str
    shape: list[int]
    nbytes: int


class _Meta(msgspec.Struct, array_like=True, frozen=True):
    rows: int
    columns: list[_Column]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} ({value!r:.60})")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_decoder = msgspec.msgpack.Decoder(_Meta)


def encode(documents: DocumentArray) -> Buffers:
    """Return the payload of some documents, in pieces; arrays are not copied.

    Raises:
        ValidationError: A value that cannot travel (an object in `tags`, text with lone surrogates, …).
    """
    columns = documents.columns()
    described: list[_Column] = []
    buffers: Buffers = []
    for name, column in columns.items():
        described.append(_describe(name, column, buffers))
    try:
        meta = _encoder.encode(_Meta(len(documents), described))
    except (TypeError, ValueError, OverflowError, UnicodeEncodeError) as error:
        raise ValidationError(_blame(columns, error)) from error
    start = _LENGTH.size + len(meta)
    return [_LENGTH.pack(len(meta)) + meta + _PADDING[-start % 8], *buffers]


def _describe(name: str, column: Column, buffers: Buffers) -> _Column:
    if name in _ARRAYS:
        return _describe_arrays(name, column, buffers)
    if name == "blob":
        lengths = [-1 if blob is None else len(blob) for blob in column]
        nbytes = _append(b"".join(blob for blob in column if blob is not None), buffers)
        return _Column(name, "bytes", lengths, "", [], nbytes)
    if name in _NESTED:
        counts = [-1 if inner is None else len(inner) for inner in column]
        inner = DocumentArray(document for part in column if part is not None for document in part)
        pieces = encode(inner)
        buffers.extend(pieces)
        return _Column(name, "documents", counts, "", [], sum(map(_size, pieces)))
    if name in _TEXTS:
        for value in column:
            if value is not None and not isinstance(value, str):
                raise ValidationError(f"{name} must be a text, not {type(value).__name__}: {value!r:.80}")
    return _Column(name, "values", column, "", [], 0)


def _describe_arrays(name: str, column: Column, buffers: Buffers) -> _Column:
    if isinstance(column, np.ndarray) and column.ndim:
        array = _portable(name, column)
        return _Column(name, "array", None, array.dtype.str, list(array.shape), _append(_raw(array), buffers))
    arrays = [None if value is None else _portable(name, np.asarray(value)) for value in column]
    values = [None if a is None else (a.dtype.str, a.shape) for a in arrays]
    nbytes = _append(b"".join(a.tobytes() for a in arrays if a is not None), buffers)
    return _Column(name, "arrays", values, "", [], nbytes)


def _portable(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biufc":
        raise ValidationError(f"{name} must hold numbers, not {array.dtype} ({array!r:.60})")
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


def _raw(array: np.ndarray) -> bytes | memoryview:
    # A memoryview cannot be cast while an axis is empty.
    return memoryview(array).cast("B") if array.size else b""


def _append(data: bytes | memoryview, buffers: Buffers) -> int:
    size = _size(data)
    buffers.append(data)
    if size % 8:
        buffers.append(_PADDING[-size % 8])
    return size


def _size(data: bytes | memoryview) -> int:
    return data.nbytes if isinstance(data, memoryview) else len(data)


def _blame(columns: dict[str, Column], error: Exception) -> str:
    for name, column in columns.items():
        if name in _ARRAYS or name in _NESTED or name == "blob":
            continue
        for i, value in enumerate(column):
            try:
                _encoder.encode(value)
            except (TypeError, ValueError, OverflowError, UnicodeEncodeError) as found:
                return f"documents[{i}].{name} cannot be sent: {found}"
    return f"these documents cannot be sent: {error}"


def decode(payload: bytes | bytearray | memoryview, depth: int = 0) -> DocumentArray:
    """Read a payload. Arrays are views of it (writable if it is), one copy less.

    Raises:
        DecodeError: The bytes are not a payload, or a length in them is wrong.
    """
    view = memoryview(payload)
    if depth > _MAX_DEPTH:
        raise DecodeError(f"documents are nested more than {_MAX_DEPTH} deep")
    if len(view) < _LENGTH.size:
        raise DecodeError(f"a payload of {len(view)} bytes is too short to be one")
    end = _LENGTH.size + _LENGTH.unpack_from(view)[0]
    if end > len(view):
        raise DecodeError(f"the payload's description ends at byte {end} of {len(view)}")
    try:
        meta = _decoder.decode(view[_LENGTH.size : end])
    except msgspec.DecodeError as error:
        raise DecodeError(f"the payload's description cannot be read: {error}") from error
    at = end + -end % 8
    columns: dict[str, Column] = {}
    for described in meta.columns:
        if described.name not in FIELDS:
            raise DecodeError(f"unknown field {described.name!r}")
        if described.nbytes < 0 or at + described.nbytes > len(view):
            raise DecodeError(f"{described.name}: {described.nbytes} bytes at {at} do not fit into {len(view)}")
        columns[described.name] = _column(meta.rows, described, view[at : at + described.nbytes], depth)
        at += described.nbytes + -described.nbytes % 8
    return _checked(meta.rows, columns)


def _checked(rows: int, columns: dict[str, Column]) -> DocumentArray:
    for name, column in columns.items():
        if name in _TEXTS and not all(type(v) is str or v is None for v in column):
            raise DecodeError(f"{name} must hold texts")
        if name in ("tags", "scores") and not all(type(v) is dict or v is None for v in column):
            raise DecodeError(f"{name} must hold maps")
    try:
        return DocumentArray.from_columns(rows, columns)
    except ValidationError as error:
        raise DecodeError(str(error)) from error


def _column(rows: int, described: _Column, data: memoryview, depth: int) -> Column:
    name, kind, values = described.name, described.kind, described.values
    if kind == "array" and name in _ARRAYS:
        return _array(name, described.dtype, described.shape, data)
    if not isinstance(values, list) or len(values) != rows:
        raise DecodeError(f"{name} does not have one value for each of {rows} documents")
    if kind == "values" and name not in _ARRAYS and name not in _NESTED and name != "blob":
        return values
    if kind == "bytes" and name == "blob":
        cuts = _cuts(name, values, len(data))
        return [None if n < 0 else bytes(data[a : a + n]) for a, n in zip(cuts, values, strict=True)]
    if kind == "arrays" and name in _ARRAYS:
        return _rows(name, values, data)
    if kind == "documents" and name in _NESTED:
        inner = decode(data, depth + 1)
        cuts = _cuts(name, values, len(inner))
        return [None if n < 0 else inner[a : a + n] for a, n in zip(cuts, values, strict=True)]
    raise DecodeError(f"a column {name!r} of kind {kind!r} is unknown")


def _cuts(name: str, lengths: list[Any], total: int) -> list[int]:
    cuts, at = [], 0
    for length in lengths:
        if type(length) is not int or length < -1:
            raise DecodeError(f"{name}: {length!r} is no length")
        cuts.append(at)
        at += max(length, 0)
    if at != total:
        raise DecodeError(f"{name}: lengths add up to {at}, there are {total}")
    return cuts


def _array(name: str, dtype: Any, shape: Any, data: memoryview) -> np.ndarray:
    kind = _dtype(name, dtype)
    count = 1
    if not isinstance(shape, list | tuple) or not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 32:
        raise DecodeError(f"{name}: {shape!r:.60} is no shape")
    for n in shape:
        count *= n
    if count * kind.itemsize != len(data):
        raise DecodeError(f"{name}: shape {list(shape)} of {kind} takes {count * kind.itemsize} bytes, not {len(data)}")
    return np.frombuffer(data, kind).reshape(shape)


def _dtype(name: str, text: Any) -> np.dtype[Any]:
    try:
        kind = np.dtype(text) if isinstance(text, str) else None
    except TypeError:
        kind = None
    if kind is None or kind.kind not in "biufc":
        raise DecodeError(f"{name}: {text!r:.40} is no number type")
    return kind


def _rows(name: str, values: list[Any], data: memoryview) -> Column:
    found: list[Any] = []
    at = 0
    for value in values:
        if value is None:
            found.append(None)
            continue
        if not isinstance(value, list) or len(value) != 2 or not isinstance(value[1], list):
            raise DecodeError(f"{name}: {value!r:.40} is no type and shape")
        nbytes = _dtype(name, value[0]).itemsize
        for n in value[1]:
            nbytes *= n if type(n) is int and n >= 0 else 0
        found.append(_array(name, value[0], value[1], data[at : at + nbytes]))
        at += nbytes
    if at != len(data):
        raise DecodeError(f"{name}: {len(data) - at} bytes are left over")
    return stack(found) if len(found) == 1 else found
