"""The forms a payload comes in, by name: read it as documents, render documents as it.

Who only names forms (the gateway) needs none of their code, so each is imported when its first payload arrives.
"""

from typing import TYPE_CHECKING

from dure.document.oip_tensors import OIP
from dure.errors import DecodeError

if TYPE_CHECKING:
    from dure.document.array import DocumentArray
    from dure.document.codec import Buffers

COLUMNS = "columns"
"""Our own columnar payload: `codec.py`."""

PROTOBUF = "protobuf"
"""Message `Documents` of `dure.proto`: `protobuf.py`."""

JSON = "json"
"""An array of objects: `json_form.py`."""

EMBEDDINGS, EMBEDDINGS_BASE64 = "embeddings", "embeddings-base64"
"""An array of texts, answered with embeddings alone: `embeddings_form.py`."""

_READ_AS_JSON = frozenset((JSON, EMBEDDINGS, EMBEDDINGS_BASE64))


def between(form: str) -> str:
    """Return the form in which an Executor answers the next one, where the last is to answer in `form`.

    Some forms hold a part of the documents only. Who reads `form` reads this one too.
    """
    if form in (EMBEDDINGS, EMBEDDINGS_BASE64):
        return JSON
    return OIP if form.startswith(OIP) else form


def with_ids(form: str, payload: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
    """Return a payload in which every document has an id, for several who each read it: what they make of it is joined.

    The form of it is `between(form)`, which reads as `form` does.

    Raises:
        DecodeError: Unknown form, or bytes that are not of it.
        ValidationError: A value that cannot travel.
    """
    if form == COLUMNS or form.startswith(OIP):
        return payload  # who made it has given them
    documents = decode_form(form, payload)
    documents.column("id")  # makes those that are missing
    return b"".join(encode_form(between(form), documents))


def decode_form(form: str, payload: bytes | bytearray | memoryview) -> "DocumentArray":
    """Read a payload.

    Raises:
        DecodeError: Unknown form, or bytes that are not of it.
    """
    if form == COLUMNS:
        from dure.document import codec

        return codec.decode(payload)
    if form == PROTOBUF:
        from dure.document import protobuf

        return protobuf.decode(payload)
    if form in _READ_AS_JSON:
        from dure.document import json_form

        return json_form.decode(payload)
    if form.startswith(OIP):
        from dure.document import oip_form

        return oip_form.decode(payload)
    raise DecodeError(f"unknown form of documents {form!r}")


def encode_form(form: str, documents: "DocumentArray") -> "Buffers":
    """Render documents.

    Raises:
        ValidationError: A value that cannot travel.
    """
    if form == PROTOBUF:
        from dure.document import protobuf

        return [protobuf.encode(documents)]
    if form == JSON:
        from dure.document import json_form

        return [json_form.encode(documents)]
    if form in (EMBEDDINGS, EMBEDDINGS_BASE64):
        from dure.document import embeddings_form

        return [embeddings_form.encode(documents, as_base64=form == EMBEDDINGS_BASE64)]
    if form.startswith(OIP):
        from dure.document import oip_form

        return oip_form.encode(form, documents)
    from dure.document import codec

    return codec.encode(documents)


def text_sizes(form: str, payload: bytes | bytearray | memoryview) -> list[int]:
    """Return the size of each document's text, in bytes of UTF-8, without reading the rest.

    Raises:
        DecodeError: Unknown form, or bytes that are not of it.
    """
    if form == COLUMNS:
        from dure.document import codec

        return codec.text_sizes(payload)
    if form == PROTOBUF:
        from dure.document import protobuf

        return protobuf.text_sizes(payload)
    if form in _READ_AS_JSON:
        from dure.document import json_form

        return json_form.text_sizes(payload)
    if form.startswith(OIP):
        from dure.document import oip_form

        return oip_form.text_sizes(payload)
    raise DecodeError(f"unknown form of documents {form!r}")
