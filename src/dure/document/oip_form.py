"""Documents as tensors of the Open Inference Protocol, one for each of their columns, and back.

Reads what a client sent, and also columns as an Executor before this one answered them; renders outputs in binary or
as JSON. Columns of numbers are never gone through number by number. Knows nothing of requests.

    answer = u32 length of outputs | outputs (a JSON array) | their bytes, back to back
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from math import prod
from typing import Any

import msgspec
import numpy as np

from dure.deps import require
from dure.document import codec, dicts, plain
from dure.document.array import DocumentArray
from dure.document.column import Column
from dure.document.document import ARRAYS, DICTS
from dure.document.oip_tensors import (
    BYTES,
    COLUMN_TYPES,
    Piece,
    Rendering,
    Tensor,
    check_column,
    is_packed,
    rendering_of,
    unpack,
)
from dure.document.tensors import checked_flags, portable
from dure.errors import DecodeError, OutputError, ValidationError

_DTYPES = {
    "BOOL": "|b1",
    "INT8": "|i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "|u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_DATATYPES = {name: datatype for datatype, name in _DTYPES.items()}
_KINDS: dict[str, type] = {"b": bool, "i": int, "u": int, "f": float}
_CONTENTS = {
    "BOOL": "bool",
    "INT8": "int",
    "INT16": "int",
    "INT32": "int",
    "INT64": "int64",
    "UINT8": "uint",
    "UINT16": "uint",
    "UINT32": "uint",
    "UINT64": "uint64",
    "FP32": "fp32",
    "FP64": "fp64",
    BYTES: "bytes",
}


def decode(payload: Piece) -> DocumentArray:
    """Read tensors; arrays are views of the payload where they came as bytes.

    Raises:
        DecodeError: A length, a shape or a value that is not what it is said to be.
        ValidationError: An unknown type, or tensors that are not of as many documents.
    """
    if not is_packed(payload):
        return codec.decode(payload)
    inputs, pieces = unpack(payload)
    rows = inputs.rows
    columns = {tensor.name: _column(tensor, data) for tensor, data in zip(inputs.tensors, pieces, strict=True)}
    columns.setdefault("id", [f"{inputs.ids}{i:08x}" for i in range(rows)])
    return DocumentArray.from_columns(rows, columns)


def text_sizes(payload: Piece) -> list[int]:
    """Return the size of each document's text, in bytes of UTF-8; nothing else of the payload is read.

    Raises:
        DecodeError: Not such a payload.
        ValidationError: As `decode`.
    """
    if not is_packed(payload):
        return codec.text_sizes(payload)
    inputs, pieces = unpack(payload)
    for tensor, data in zip(inputs.tensors, pieces, strict=True):
        if tensor.name == "text":
            return [len(element) for element in _elements(tensor, data)]
    return [0] * inputs.rows


# -- inputs --------------------------------------------------------------------------------------------------------


def _column(tensor: Tensor, data: memoryview) -> Column:
    name = tensor.name
    if tensor.datatype != BYTES:
        return _numbers(tensor, data)
    elements = _elements(tensor, data)
    if name == "blob":
        return elements
    try:
        texts = [element.decode() for element in elements]
    except UnicodeDecodeError as error:
        raise DecodeError(f"input {name!r} must hold UTF-8: {error}") from error
    return [_object(text, name, f"{name}[{i}]") for i, text in enumerate(texts)] if name in DICTS else texts


def _object(text: str, name: str, at: str) -> dict[str, Any]:
    return dicts.read(plain.from_json(text, at), name, at) if text else {}


def _elements(tensor: Tensor, data: memoryview) -> list[bytes]:
    """Return the elements of a tensor of `BYTES`."""
    count = prod(tensor.shape)
    if tensor.coding == "raw":
        return _cut(tensor, data, count)
    values = _values(tensor, data, str)
    if tensor.coding == "typed":
        return [bytes(value) for value in values]
    try:
        return [value.encode() for value in values]
    except UnicodeEncodeError as error:
        raise DecodeError(f"input {tensor.name!r} must hold texts: {error}") from error


def _cut(tensor: Tensor, data: memoryview, count: int) -> list[bytes]:
    elements: list[bytes] = []
    at, end = 0, len(data)
    for i in range(count):
        start = at + 4
        at = start + int.from_bytes(data[at:start], "little")
        if start > end or at > end:
            raise DecodeError(f"input {tensor.name!r}: element {i} of {count} ends at byte {at:,} of {end:,}")
        elements.append(bytes(data[start:at]))
    if at != end:
        raise DecodeError(f"input {tensor.name!r}: {count} elements take {at:,} bytes, there are {end:,}")
    return elements


def _numbers(tensor: Tensor, data: memoryview) -> np.ndarray:
    try:
        return _array(tensor, data).reshape(tensor.shape)
    except (ValueError, OverflowError) as error:  # also: an axis of 0 beside one that no array can have
        raise DecodeError(
            f"input {tensor.name!r}: {tensor.shape!r:.80} of {tensor.datatype} cannot be: {error}"
        ) from error


def _array(tensor: Tensor, data: memoryview) -> np.ndarray:
    datatype = tensor.datatype
    if tensor.coding == "raw":
        if datatype == "BF16":  # the upper half of an FP32
            return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
        return checked_flags(np.frombuffer(data, _DTYPES[datatype]), f"input {tensor.name!r}")
    if datatype in ("BF16", "FP16"):
        raise ValidationError(f"input {tensor.name!r}: {datatype} is sent in binary only")
    dtype = np.dtype(_DTYPES[datatype])
    values = _values(tensor, data, _KINDS[dtype.kind])
    if datatype != "FP32" or tensor.coding == "typed":
        return np.array(values, dtype)
    with np.errstate(over="ignore"):
        array = np.array(values, np.float64).astype(dtype)
    if not np.isfinite(array).all():  # JSON has only finite numbers
        raise DecodeError(f"input {tensor.name!r}: a number does not fit into FP32")
    return array


def _values(tensor: Tensor, data: memoryview, kind: type) -> Sequence[Any]:
    """Return values that came as JSON, flat or nested as the shape is, or as a message: as many as there should be."""
    count = prod(tensor.shape)
    if tensor.coding == "typed":
        values = _contents(tensor, data)
        size = len(values)
    else:
        nested = len(tensor.shape) > 1 and bytes(data[:256]).lstrip()[1:].lstrip()[:1] == b"["
        try:
            values = _reader(kind, len(tensor.shape) if nested else 1)(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise DecodeError(f"input {tensor.name!r}: data is not of {tensor.datatype}: {error}") from error
        if nested:
            values = _flat(values, tensor)
        size = len(values)
    if size != count:
        raise DecodeError(f"input {tensor.name!r}: {size:,} values where shape {tensor.shape!r:.80} has {count:,}")
    return values


def _flat(values: list[Any], tensor: Tensor) -> list[Any]:
    for length in tensor.shape[1:]:
        if not set(map(len, values)) <= {length}:
            raise DecodeError(f"input {tensor.name!r}: the lists in data are not nested as shape {tensor.shape!r:.80}")
        values = list(chain.from_iterable(values))
    return values


@cache  # of a handful of types, and at most 32 axes
def _reader(kind: type, depth: int) -> Callable[[memoryview], Any]:
    wanted: Any = kind
    for _ in range(depth):
        wanted = list[wanted]
    return msgspec.json.Decoder(wanted).decode


def _contents(tensor: Tensor, data: memoryview) -> Sequence[Any]:
    from google.protobuf.message import DecodeError as ProtobufError

    from dure.document.oip_messages import messages

    try:
        contents = messages.InferTensorContents.FromString(bytes(data))
    except ProtobufError as error:
        raise DecodeError(f"input {tensor.name!r}: contents is no InferTensorContents: {error}") from error
    field = _CONTENTS.get(tensor.datatype)
    if field is None:
        raise ValidationError(f"input {tensor.name!r}: {tensor.datatype} is sent in raw_input_contents only")
    values: Sequence[Any] = getattr(contents, f"{field}_contents")
    return values


# -- outputs -------------------------------------------------------------------------------------------------------


def encode(form: str, documents: DocumentArray) -> codec.Buffers:
    """Render documents: as the form's name tells, or as columns for the next Executor.

    Raises:
        OutputError: An output that is not there, or that JSON cannot hold.
        TransferForbidden: An array lives on a device, inside `no_transfers()`.
        ValidationError: A value that cannot travel.
    """
    rendering = rendering_of(form)
    if rendering is None:
        return codec.encode(documents)
    heads: list[bytes] = []
    data: codec.Buffers = []
    columns = documents.columns()
    for name, binary in rendering.outputs or _set_outputs(columns, rendering):
        check_column(name, "output")
        head, piece = _output(name, columns, len(documents), binary)
        heads.append(head)
        if binary:
            data.append(piece)
    array = b"[" + b",".join(heads) + b"]"
    return [len(array).to_bytes(4, "little") + array, *data]


def _set_outputs(columns: dict[str, Column], rendering: Rendering) -> list[tuple[str, bool]]:
    names = [name for name in COLUMN_TYPES if name in columns and (name != "id" or rendering.ids)]
    return [(name, rendering.binary) for name in names]


def _output(name: str, columns: dict[str, Column], rows: int, binary: bool) -> tuple[bytes, bytes | memoryview]:
    """Return the JSON of an output, and its bytes if it is binary."""
    data: bytes | memoryview
    if name in ARRAYS:
        array = _whole(name, columns, rows)
        datatype, shape = _DATATYPES.get(array.dtype.str), list(array.shape)
        if datatype is None:
            raise ValidationError(f"output {name!r} is of {array.dtype}, which the protocol lacks")
        data = array.data.cast("B") if binary and array.size else _json_numbers(name, datatype, array, binary)
    else:
        elements = _bytes(name, columns.get(name), rows)
        datatype, shape = BYTES, [rows]
        data = _lengths(elements) if binary else _json_texts(name, elements)
    head = {"name": name, "datatype": datatype, "shape": shape}
    if binary:
        return msgspec.json.encode({**head, "parameters": {"binary_data_size": len(data)}}), data
    return msgspec.json.encode(head)[:-1] + b',"data":' + data + b"}", b""


def _whole(name: str, columns: dict[str, Column], rows: int) -> np.ndarray:
    column = columns.get(name)
    if column is None:  # perf_analyzer asks for every output there may be
        return np.empty((rows, 0), np.float32)
    if isinstance(column, list):
        if rows:
            why = "is not set in every document, or not of one shape and type"
            there = ", ".join(found for found in COLUMN_TYPES if found in columns and found != name)
            raise OutputError(f"output {name!r} {why}, so it is no tensor; there are: {there}")
        return np.empty(0, np.float32)
    return portable(column, name)


def _json_numbers(name: str, datatype: str, array: np.ndarray, binary: bool) -> bytes:
    if binary:
        return b""
    if datatype == "FP16":
        raise OutputError(f"output {name!r} is of FP16, which has no JSON form: ask for it with binary_data")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise OutputError(f"output {name!r} holds NaN or infinity, which JSON lacks: ask for it with binary_data")
    orjson = require("orjson", "http")
    written: bytes = orjson.dumps(array.reshape(-1), option=orjson.OPT_SERIALIZE_NUMPY)
    return written


def _bytes(name: str, column: Column | None, rows: int) -> list[bytes]:
    values = [None] * rows if column is None else column
    if name == "blob":
        return [bytes(value or b"") for value in values]
    if name in DICTS:
        dicts.check_column(values, name)
        return [plain.to_json(value or {}, f"{name}[{i}]").encode() for i, value in enumerate(values)]
    try:
        return [(value or "").encode() for value in values]
    except UnicodeEncodeError as error:
        raise ValidationError(f"output {name!r} cannot be sent: {error}") from error


def _lengths(elements: list[bytes]) -> bytes:
    return b"".join([part for element in elements for part in (len(element).to_bytes(4, "little"), element)])


def _json_texts(name: str, elements: list[bytes]) -> bytes:
    try:
        return msgspec.json.encode([element.decode() for element in elements])
    except UnicodeDecodeError as error:
        raise OutputError(
            f"output {name!r} holds bytes that are no text, which JSON lacks: ask for it with binary_data ({error})"
        ) from error
