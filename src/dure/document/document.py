"""One record: a text, bytes, a tensor, with an embedding, tags, scores, and documents inside or matched.

An unset field costs nothing: it is not stored, and reads as its empty value. Knows nothing of arrays of documents
beyond making empty ones, and nothing of the wire.
"""

import itertools
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from dure.errors import ValidationError
from dure.spec import suggest

if TYPE_CHECKING:
    from dure.document.array import DocumentArray

FIELDS = ("id", "text", "blob", "tensor", "embedding", "tags", "scores", "uri", "mime_type", "chunks", "matches")
"""Every field of a Document, in the order they are written in."""

_prefix = os.urandom(10).hex()
_count = itertools.count()


def _restart_ids() -> None:
    global _prefix, _count
    _prefix, _count = os.urandom(10).hex(), itertools.count()


# A forked process would otherwise give out the ids of its parent.
os.register_at_fork(after_in_child=_restart_ids)


def new_id() -> str:
    """Return an id that no other document has: 80 random bits of this process, and a running number."""
    return f"{_prefix}{next(_count):08x}"


class Document:
    """What travels through a Flow.

    Args:
        text: Unicode text.
        id: Unique name; made if not given.
        blob: Raw bytes, for example of an image file.
        tensor: The content as an array.
        embedding: The vector a model made of it, usually `(dim,) float32`.
        tags: Plain values under text keys. Types are kept: an int comes back an int.
        scores: Name -> number, for example `{"cosine": 0.93}`.
        uri: Where the content comes from. Never fetched by dure.
        mime_type: Media type of the content.
        chunks: Documents this one is made of.
        matches: Documents found for this one.

    Raises:
        ValidationError: `text` is not text, or `blob` not bytes.
    """

    id: str
    text: str = ""
    blob: bytes = b""
    tensor: Any = None
    embedding: Any = None
    tags: dict[str, Any]
    scores: dict[str, float]
    uri: str = ""
    mime_type: str = ""
    chunks: "DocumentArray"
    matches: "DocumentArray"

    def __init__(  # noqa: PLR0913 - one argument a field
        self,
        text: str | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the field's name
        blob: bytes | None = None,
        tensor: Any = None,
        embedding: Any = None,
        tags: dict[str, Any] | None = None,
        scores: dict[str, float] | None = None,
        uri: str | None = None,
        mime_type: str | None = None,
        chunks: Any = None,
        matches: Any = None,
    ) -> None:
        self.id = f"{_prefix}{next(_count):08x}" if id is None else id
        if text is not None:
            if not isinstance(text, str):
                raise ValidationError(f"text must be a str, not {type(text).__name__}: {text!r:.80}")
            self.text = text
        if blob is not None:
            if not isinstance(blob, bytes | bytearray | memoryview):
                raise ValidationError(f"blob must be bytes, not {type(blob).__name__}: {blob!r:.80}")
            self.blob = bytes(blob)
        if tensor is not None:
            self.tensor = tensor
        if embedding is not None:
            self.embedding = embedding
        if tags is not None:
            self.tags = tags
        if scores is not None:
            self.scores = scores
        if uri is not None:
            self.uri = uri
        if mime_type is not None:
            self.mime_type = mime_type
        if chunks is not None:
            self.chunks = _array(chunks)
        if matches is not None:
            self.matches = _array(matches)

    def __getattr__(self, name: str) -> Any:
        """Make the empty value of a field that holds other values, the first time it is looked at."""
        if name in ("tags", "scores"):
            value: Any = {}
        elif name in ("chunks", "matches"):
            value = _array(())
        elif name == "id":
            value = new_id()
        else:
            raise AttributeError(f"a Document has no field {name!r}.{suggest(name, FIELDS)}")
        self.__dict__[name] = value
        return value

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_short(value)}" for name, value in self.__dict__.items())
        return f"<Document {shown}>"

    def __eq__(self, other: object) -> bool:
        """Same id and same content; arrays are compared element by element."""
        if not isinstance(other, Document):
            return NotImplemented
        mine, theirs = self.to_dict(), other.to_dict()
        return mine == theirs

    __hash__ = None  # type: ignore[assignment]  # documents change

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are set as plain values: arrays as nested lists, `blob` as bytes."""
        out: dict[str, Any] = {}
        for name in FIELDS:
            value = self.__dict__.get(name)
            if value is None or (name != "id" and hasattr(value, "__len__") and len(value) == 0):
                continue
            if name in ("tensor", "embedding"):
                value = _plain(value)
            elif name in ("chunks", "matches"):
                value = [document.to_dict() for document in value]
            out[name] = value
        return out

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Document":
        """Make a Document of plain values: lists of numbers become arrays, `blob` may be base64 text.

        Raises:
            ValidationError: Unknown field (with the nearest known one) or a value that does not fit it.
        """
        return _document_of(fields, "document")

    def to_json(self) -> str:
        """Return one line of JSON; `blob` is base64, arrays are nested lists of numbers."""
        try:
            return msgspec.json.encode(self.to_dict()).decode()
        except (TypeError, OverflowError, ValueError) as error:
            raise ValidationError(f"document {self.id} does not fit into JSON: {error}") from error

    @classmethod
    def from_json(cls, line: str | bytes) -> "Document":
        """Make a Document of a JSON object.

        Raises:
            ValidationError: Not JSON, not an object, an unknown field or a value that does not fit it.
        """
        try:
            fields = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise ValidationError(f"not a JSON document: {error}: {line!r:.80}") from error
        return _document_of(fields, "document")


def _document_of(fields: Any, path: str) -> Document:
    if not isinstance(fields, Mapping):
        raise ValidationError(f"{path} must be an object with the fields of a Document, not {fields!r:.80}")
    values: dict[str, Any] = dict(fields)
    for name, value in values.items():
        at = f"{path}.{name}"
        if name not in FIELDS:
            raise ValidationError(f"{at}: a Document has no field {name!r}.{suggest(name, FIELDS)}")
        if name in ("text", "id", "uri", "mime_type") and not isinstance(value, str):
            raise ValidationError(f"{at} must be a text, not {value!r:.80}")
        if name in ("tags", "scores") and not isinstance(value, dict):
            raise ValidationError(f"{at} must be an object, not {value!r:.80}")
        if name in ("tensor", "embedding"):
            values[name] = _numbers(value, at)
        elif name in ("chunks", "matches"):
            values[name] = [_document_of(inner, f"{at}[{i}]") for i, inner in enumerate(value)]
        elif name == "blob" and isinstance(value, str):
            values[name] = _base64(value, at)
    return Document(**values)


def _numbers(value: Any, at: str) -> Any:
    import numpy as np

    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValidationError(f"{at} must be numbers in a regular shape: {error}") from error
    if array.dtype.kind not in "biufc":
        raise ValidationError(f"{at} must be numbers, not {value!r:.80}")
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _base64(value: str, at: str) -> bytes:
    import base64
    import binascii

    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValidationError(f"{at} must be base64: {error}") from error


def _array(documents: Any) -> "DocumentArray":
    from dure.document.array import DocumentArray

    return documents if isinstance(documents, DocumentArray) else DocumentArray(documents)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _short(value: Any) -> str:
    shape = getattr(value, "shape", None)
    text = f"array{tuple(shape)}" if shape is not None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
