"""The forms a payload comes in, by name: read it as documents, render documents as it.

A form's own code is in its file; protobuf is imported when the first such payload arrives.
"""

from dure.document.array import DocumentArray
from dure.document.codec import Buffers, decode, encode
from dure.errors import DecodeError

COLUMNS = "columns"
"""Our own columnar payload: `codec.py`."""

PROTOBUF = "protobuf"
"""Message `Documents` of `dure.proto`: `protobuf.py`."""


def decode_form(form: str, payload: bytes | bytearray | memoryview) -> DocumentArray:
    """Read a payload.

    Raises:
        DecodeError: Unknown form, or bytes that are not of it.
    """
    if form == COLUMNS:
        return decode(payload)
    if form == PROTOBUF:
        from dure.document import protobuf

        return protobuf.decode(payload)
    raise DecodeError(f"unknown form of documents {form!r}")


def encode_form(form: str, documents: DocumentArray) -> Buffers:
    """Render documents.

    Raises:
        ValidationError: A value that cannot travel.
    """
    if form == PROTOBUF:
        from dure.document import protobuf

        return [protobuf.encode(documents)]
    return encode(documents)
