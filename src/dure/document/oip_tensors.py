"""Tensors of the Open Inference Protocol on their way to a worker: what is said of each, and their bytes as they came.

    payload = "OIP" 0xFF | u32 length of heads | heads (msgpack), padded to 8 | pieces, each padded to 8

Knows names, types, shapes and sizes, so that what does not fit is refused before anything is made of it. Knows neither
numpy nor documents.
"""

import os
import struct
from collections.abc import Sequence
from math import prod
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from dure.document.bounds import MAX_AXES
from dure.errors import DecodeError, ValidationError
from dure.spec import suggest

OIP = "oip"
"""The form of payloads that `oip_form.py` reads and writes. What is wanted of an answer follows in the form's name."""

ITEM_BYTES = {
    "BOOL": 1,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "UINT8": 1,
    "UINT16": 2,
    "UINT32": 4,
    "UINT64": 8,
    "BF16": 2,
    "FP16": 2,
    "FP32": 4,
    "FP64": 8,
}
"""Types of numbers, and the size of one."""

BYTES = "BYTES"
"""The type of texts and bytes: each after its length, a little-endian u32."""

COLUMN_TYPES = {
    **dict.fromkeys(("text", "blob", "tags", "scores", "id", "uri", "mime_type"), BYTES),
    **dict.fromkeys(("embedding", "tensor"), "FP32"),
}
"""The columns of documents that are tensors here, and their types; numbers may also be of another type."""

Axis: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Piece: TypeAlias = bytes | bytearray | memoryview

_START = struct.Struct("<4sI")
_MAGIC = b"OIP\xff"  # as the length of a description, which `codec.py` begins with, it would be more than fits a frame
_PADDING = [b"\0" * n for n in range(8)]


class Tensor(msgspec.Struct, array_like=True, frozen=True):
    """What is said of an input. `coding`: raw (little-endian), json (text), typed (message `InferTensorContents`)."""

    name: str
    datatype: str
    shape: Annotated[list[Axis], Meta(min_length=1, max_length=MAX_AXES)]
    coding: Literal["raw", "json", "typed"]
    nbytes: Axis


class Inputs(msgspec.Struct, array_like=True, frozen=True):
    """All inputs of a request. Documents without ids get `ids` and a number, in every branch of a Flow the same."""

    ids: str
    tensors: Annotated[list[Tensor], Meta(min_length=1)]

    @property
    def rows(self) -> int:
        """The number of documents: the first axis of every tensor.

        Raises:
            DecodeError: More documents than there are bytes.
            ValidationError: It is not the same for all.
        """
        rows = {tensor.name: tensor.shape[0] for tensor in self.tensors}
        if len(set(rows.values())) != 1:
            raise ValidationError(f"the first axis of all inputs must be as long, the number of documents: {rows}")
        count = next(iter(rows.values()))
        size = sum([tensor.nbytes for tensor in self.tensors])
        if count > size:  # else nothing would bound it: every other axis may be 0
            raise DecodeError(f"{count:,} documents do not fit into {size:,} bytes")
        return count


class Rendering(msgspec.Struct, array_like=True, frozen=True):
    """What is wanted of an answer: which outputs, each in binary or as JSON.

    Where none is named, all that are set: in binary or not, and with ids or without.
    """

    outputs: list[tuple[str, bool]] = []
    binary: bool = True
    ids: bool = False

    @property
    def any_binary(self) -> bool:
        """Whether something is wanted in binary."""
        return any(binary for _, binary in self.outputs) if self.outputs else self.binary


_inputs = msgspec.msgpack.Decoder(Inputs)
_renderings = msgspec.json.Decoder(Rendering)


def form_of(rendering: Rendering) -> str:
    """Return the name of the form in which an answer is rendered so."""
    return OIP + msgspec.json.encode(rendering).decode()


def rendering_of(form: str) -> Rendering | None:
    """Return how an answer in this form is rendered; None where it is for another Executor.

    Raises:
        DecodeError: There is no such form.
    """
    try:
        return _renderings.decode(form[len(OIP) :]) if form != OIP else None
    except msgspec.DecodeError as error:
        raise DecodeError(f"unknown form of documents {form!r:.80}: {error}") from error


def columns_of(inputs: Sequence[tuple[str, str]]) -> list[str]:
    """Return the column of each input, given as name and type.

    A single input may have any name, since a client may have been written for another model: numbers are the column
    `tensor` then, and `BYTES` the column `text`.

    Raises:
        ValidationError: None or one twice, or a name that is no column.
    """
    if not inputs:
        raise ValidationError("a request needs at least one input")
    names = [name for name, _ in inputs]
    if len(inputs) == 1 and names[0] not in COLUMN_TYPES:
        return ["text" if inputs[0][1] == BYTES else "tensor"]
    for i, name in enumerate(names):
        check_column(name, "input")
        if name in names[:i]:
            raise ValidationError(f"input {name!r} is there twice")
    return names


def check_column(name: str, what: str) -> None:
    """Refuse a name that is no column.

    Raises:
        ValidationError: It lists those that there are.
    """
    if name not in COLUMN_TYPES:
        raise ValidationError(
            f"no {what} is named {name!r:.60}.{suggest(name, COLUMN_TYPES)} There are: {', '.join(COLUMN_TYPES)}."
        )


def check(tensor: Tensor) -> None:
    """Refuse a tensor whose type, shape and size do not go together.

    Raises:
        DecodeError: Its bytes are not as many as its shape says.
        ValidationError: An unknown type, or one that its column does not hold.
    """
    name, datatype, shape = tensor.name, tensor.datatype, tensor.shape
    if datatype != BYTES and datatype not in ITEM_BYTES:
        raise ValidationError(f"input {name!r}: no type is named {datatype!r:.40}; there are: {', '.join(_ALL)}")
    if (datatype == BYTES) != (COLUMN_TYPES[name] == BYTES):
        wanted = BYTES if COLUMN_TYPES[name] == BYTES else "numbers"
        raise ValidationError(f"input {name!r} holds {wanted}, not {datatype}")
    if datatype == BYTES and shape[1:] not in ([], [1]):
        raise ValidationError(f"input {name!r} is of shape [n] or [n, 1], not {shape!r:.80}")
    count = prod(shape)
    if tensor.coding != "raw":
        fits = count <= tensor.nbytes
    elif datatype == BYTES:
        fits = 4 * count <= tensor.nbytes
    else:
        fits = count * ITEM_BYTES[datatype] == tensor.nbytes
    if not fits:
        raise DecodeError(f"input {name!r}: shape {shape!r:.80} of {datatype} does not fit {tensor.nbytes:,} bytes")


_ALL = (*ITEM_BYTES, BYTES)


def pack(tensors: Sequence[tuple[Tensor, Piece]]) -> tuple[bytes, int]:
    """Return the payload of some tensors, and the number of documents.

    Raises:
        DecodeError: As `check` and `Inputs.rows`.
        ValidationError: As these.
    """
    for tensor, _ in tensors:
        check(tensor)
    inputs = Inputs(os.urandom(10).hex(), [tensor for tensor, _ in tensors])
    heads = msgspec.msgpack.encode(inputs)
    parts: list[Piece] = [_START.pack(_MAGIC, len(heads)), heads, _PADDING[-len(heads) % 8]]
    for tensor, piece in tensors:
        parts += [piece, _PADDING[-tensor.nbytes % 8]]
    return b"".join(parts), inputs.rows


def is_packed(payload: Piece) -> bool:
    """Whether these are tensors as a client sent them, and not what an Executor answered."""
    return bytes(payload[:4]) == _MAGIC


def unpack(payload: Piece) -> tuple[Inputs, list[memoryview]]:
    """Return the tensors, checked, and the bytes of each.

    Raises:
        DecodeError: Not such a payload, or one with wrong lengths.
        ValidationError: As `check` and `Inputs.rows`.
    """
    view = memoryview(payload)
    try:
        magic, size = _START.unpack_from(view)
        inputs = _inputs.decode(view[_START.size : _START.size + size])
    except (struct.error, msgspec.DecodeError, UnicodeError) as error:
        raise DecodeError(f"the payload's tensors cannot be read: {error}") from error
    if magic != _MAGIC or not all(tensor.name in COLUMN_TYPES for tensor in inputs.tensors):
        raise DecodeError("the payload does not hold tensors")
    at = _START.size + size + -size % 8
    pieces: list[memoryview] = []
    for tensor in inputs.tensors:
        check(tensor)
        pieces.append(view[at : at + tensor.nbytes])
        at += tensor.nbytes + -tensor.nbytes % 8
    if at != len(view):
        raise DecodeError(f"the payload has {len(view):,} bytes where it describes {at:,}")
    return inputs, pieces


class Output(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is said of an output, as the protocol says it."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}


_outputs = msgspec.json.Decoder(list[Output])


def open_answer(payload: Piece) -> tuple[memoryview, memoryview]:
    """Return the outputs of an answer as the JSON array that goes into the protocol's, and the bytes that follow it."""
    view = memoryview(payload)
    end = 4 + int.from_bytes(view[:4], "little")
    return view[4:end], view[end:]


def outputs_of(payload: Piece) -> list[tuple[Output, memoryview]]:
    """Return the outputs of an answer that was wanted in binary, each with its bytes."""
    heads, data = open_answer(payload)
    found, at = [], 0
    for output in _outputs.decode(heads):
        size: int = output.parameters["binary_data_size"]
        found.append((output, data[at : at + size]))
        at += size
    return found
