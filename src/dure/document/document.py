"""One record: text, bytes, a tensor, an embedding, tags, scores, and documents inside or matched.

An unset field costs nothing: it is not stored, and reads as its empty value. Knows nothing of
arrays of documents beyond making them, and nothing of the wire.
"""

import base64
import itertools
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dure.document import dicts, plain, tensors
from dure.document.device_arrays import on_host
from dure.errors import ValidationError
from dure.spec import suggest

if TYPE_CHECKING:
    from dure.document.array import DocumentArray

TEXTS = frozenset(("id", "text", "uri", "mime_type"))
ARRAYS = frozenset(("tensor", "embedding"))
DICTS = frozenset(("tags", "scores"))
NESTED = frozenset(("chunks", "matches"))
FIELDS = (
    *("id", "text", "blob", "tensor", "embedding"),
    *("tags", "scores", "uri", "mime_type", "chunks", "matches"),
)
"""Every field of a Document, in the order they are written; the sets above say what each holds."""

_prefix = os.urandom(10).hex()
_count = itertools.count()


def _restart_ids() -> None:
    global _prefix, _count
    _prefix, _count = os.urandom(10).hex(), itertools.count()


# A forked process would otherwise give out the ids of its parent.
os.register_at_fork(after_in_child=_restart_ids)


def new_id() -> str:
    """Return an id no other document has: 80 random bits of this process, and a running number."""
    return f"{_prefix}{next(_count):08x}"


class Document:
    """What travels through a Flow.

    Args:
        text: Unicode text.
        id: Unique name; made if not given.
        blob: Raw bytes, for example of an image file.
        tensor: The content as an array.
        embedding: The vector a model made of it, usually `(dim,) float32`.
        tags: Plain values (what JSON has) under text keys. They keep their types: an int stays one.
        scores: Name -> number, for example `{"cosine": 0.93}`.
        uri: Where the content comes from. Never fetched by dure.
        mime_type: Media type of the content.
        chunks: Documents this one is made of.
        matches: Documents found for this one.

    Raises:
        ValidationError: A value of another type than its field holds.
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

    def __init__(  # noqa: C901, PLR0912, PLR0913 - a loop over the fields takes twice as long
        self,
        text: str | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the field's name
        blob: bytes | bytearray | memoryview | None = None,
        tensor: Any = None,
        embedding: Any = None,
        tags: dict[str, Any] | None = None,
        scores: dict[str, float] | None = None,
        uri: str | None = None,
        mime_type: str | None = None,
        chunks: Any = None,
        matches: Any = None,
    ) -> None:
        if id is None:
            self.id = f"{_prefix}{next(_count):08x}"
        else:
            self.id = _typed("id", id, str)
        if text is not None:
            self.text = text if isinstance(text, str) else _typed("text", text, str)
        if blob is not None:
            self.blob = bytes(_typed("blob", blob, bytes | bytearray | memoryview))
        if tensor is not None:
            self.tensor = tensor
        if embedding is not None:
            self.embedding = embedding
        if tags is not None:
            self.tags = _typed("tags", tags, dict)
        if scores is not None:
            self.scores = _typed("scores", scores, dict)
        if uri is not None:
            self.uri = _typed("uri", uri, str)
        if mime_type is not None:
            self.mime_type = _typed("mime_type", mime_type, str)
        if chunks is not None:
            self.chunks = _array(chunks)
        if matches is not None:
            self.matches = _array(matches)

    def __getattr__(self, name: str) -> Any:
        """Make the empty value of a field that holds others, the first time it is looked at."""
        if name in DICTS:
            value: Any = {}
        elif name in NESTED:
            value = _array(())
        elif name == "id":
            value = new_id()
        else:
            # Libraries probe for dozens of special names; looking for a near one each time is slow.
            near = "" if name.startswith("_") else suggest(name, FIELDS)
            raise AttributeError(f"a Document has no field {name!r}.{near}")
        self.__dict__[name] = value
        return value

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_short(value)}" for name, value in self.__dict__.items())
        return f"<Document {shown}>"

    def __eq__(self, other: object) -> bool:
        """Same id and same content; a field that is unset equals an empty one."""
        if not isinstance(other, Document):
            return NotImplemented
        mine, theirs = self.__dict__, other.__dict__
        return all(_same(mine.get(name), theirs.get(name)) for name in (*mine, *theirs))

    __hash__ = None  # type: ignore[assignment]  # documents change

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are set as plain values, of which `from_dict` makes an equal one.

        Arrays become nested lists (where a list would be read as another type: a dict with dtype,
        shape and data); `blob` stays bytes.

        Raises:
            ValidationError: Tags that are not plain, arrays that do not hold numbers, or a document
                that contains itself.
        """
        try:
            return self._to_dict()
        except RecursionError as error:
            raise ValidationError(f"document {self.id} contains itself") from error

    def _to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name in self.__dict__:
            if name not in FIELDS:
                raise unknown_field(name)
        for name in FIELDS:
            value = self.__dict__.get(name)
            if name in ARRAYS:
                if value is not None:
                    out[name] = tensors.to_plain(
                        value,
                        f"{name} of document {self.id!r:.60}",
                        always_float32=name == "embedding",
                    )
            elif value:
                if name in NESTED:
                    value = [document._to_dict() for document in value]
                elif name in DICTS:
                    dicts.check(value, name, f"{name} of document {self.id!r:.60}")
                out[name] = value
        return out

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], *, at: str = "document") -> Self:
        """Make a Document of plain values.

        Lists of numbers become float32 arrays (`tensor`: int64 if all are whole numbers); `blob`
        may be base64 text.

        Args:
            fields: Field -> value.
            at: What this is, for messages, for example a file and a line.

        Raises:
            ValidationError: An unknown field, or a value that does not fit its field.
        """
        if not isinstance(fields, Mapping):
            raise ValidationError(f"{at} must be an object with fields of a Document, not {fields!r:.80}")
        return cls(**{name: cls._read(name, value, f"{at}.{name}") for name, value in fields.items()})

    @classmethod
    def _read(cls, name: str, value: Any, at: str) -> Any:
        if name not in FIELDS:
            raise unknown_field(name, f"{at}: ")
        if name in TEXTS and not isinstance(value, str):
            raise ValidationError(f"{at} must be a text, not {value!r:.80}")
        if name in DICTS:
            return dicts.read(value, name, at)
        if name in ARRAYS:
            return tensors.from_plain(value, at, always_float32=name == "embedding")
        if name in NESTED:
            if not isinstance(value, list | tuple):
                raise ValidationError(f"{at} must be a list of documents, not {value!r:.80}")
            return [cls.from_dict(inner, at=f"{at}[{i}]") for i, inner in enumerate(value)]
        if name == "blob":
            return _base64(value, at) if isinstance(value, str) else _typed(at, value, bytes | bytearray | memoryview)
        return value

    def to_json(self) -> str:
        """Return one line of JSON: the fields of `to_dict`, with `blob` in base64.

        Raises:
            ValidationError: As `to_dict`, and what JSON lacks: NaN, infinity, lone surrogates.
        """
        return plain.to_json(self.to_dict(), f"document {self.id!r:.60}")

    @classmethod
    def from_json(cls, line: str | bytes, *, at: str = "document") -> Self:
        """Make a Document of a JSON object; `at` is what this is, for messages.

        Raises:
            ValidationError: Not a JSON object, or as `from_dict`.
        """
        try:
            return cls.from_dict(plain.from_json(line, at), at=at)
        except RecursionError as error:
            raise ValidationError(f"{at}: documents are nested too deeply") from error


def unknown_field(name: str, at: str = "") -> ValidationError:
    """Return the error for a name that is no field; `at` is put before the message."""
    return ValidationError(f"{at}a Document has no field {name!r}.{suggest(name, FIELDS)}")


def _typed(name: str, value: Any, kind: Any) -> Any:
    if isinstance(value, kind):
        return value
    wanted = getattr(kind, "__name__", "bytes")
    raise ValidationError(f"{name} must be {wanted}, not {type(value).__name__}: {value!r:.80}")


def _same(mine: Any, theirs: Any) -> bool:
    if hasattr(mine, "shape") or hasattr(theirs, "shape"):
        if mine is None or theirs is None:
            return False
        one, other = on_host(mine, "array"), on_host(theirs, "array")
        return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc" and other.dtype.kind in "fc")
    return bool(mine == theirs) or not (mine or theirs)


def _base64(value: str, at: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise ValidationError(f"{at} must be base64: {error}: {value!r:.80}") from error


def _array(documents: Any) -> "DocumentArray":
    from dure.document.array import DocumentArray

    return documents if isinstance(documents, DocumentArray) else DocumentArray(documents)


def _short(value: Any) -> str:
    shape = getattr(value, "shape", None)
    text = repr(value) if shape is None else f"array{tuple(shape)}"
    return text if len(text) <= 60 else f"{text[:57]}..."
