"""Answers that are kept: a document that is like one before, but for its id, is not given to the method again.

Rows alike within one batch are computed once. Off unless asked for; knows no requests, and nothing of other processes.
"""

import copy
import hashlib
import threading
from collections import OrderedDict
from typing import Any, TypeAlias

import msgspec
import numpy as np

from dure.document import plain
from dure.document.array import DocumentArray
from dure.document.device_arrays import is_device_array, on_host
from dure.document.document import ARRAYS, NESTED, Document
from dure.errors import ValidationError
from dure.worker.batch import documents_of

Key: TypeAlias = bytes | int
"""What a document holds, digested; of one that is like no other, its place among those it came with."""


class AnswerCache:
    """The documents that a method returned, by what it was given. The longest unused is forgotten first.

    Args:
        size: Most documents that are kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[bytes, Document] = OrderedDict()
        self._lock = threading.Lock()

    def look_up(self, endpoint: str, parameters: bytes, documents: DocumentArray) -> "Lookup":
        """Find which of some documents have to be computed."""
        prefix = hashlib.blake2b(msgspec.msgpack.encode([endpoint, parameters]), digest_size=16).digest()
        keys = [_key(prefix, document) or i for i, document in enumerate(documents)]
        missing: dict[Key, Document] = {}
        found: dict[Key, Document] = {}
        with self._lock:
            for key, document in zip(keys, documents, strict=True):
                if isinstance(key, bytes) and key in self._kept:
                    self._kept.move_to_end(key)
                    found[key] = self._kept[key]
                else:
                    missing.setdefault(key, document)
        return Lookup(self, documents, keys, missing, found)

    def keep(self, answers: dict[Key, Document]) -> None:
        """Keep answers, but for those of documents that are like no other."""
        own = {key: _own(document) for key, document in answers.items() if isinstance(key, bytes)}
        with self._lock:
            self._kept.update(own)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)


class Lookup:
    """Some documents: what is known of them, and what has to be computed.

    Attributes:
        missing: Those to compute, each once.
    """

    def __init__(
        self,
        cache: AnswerCache,
        documents: DocumentArray,
        keys: list[Key],
        missing: dict[Key, Document],
        found: dict[Key, Document],
    ) -> None:
        self._cache = cache
        self._documents = documents
        self._keys = keys
        self._missing = list(missing)
        self._found = found
        # The method may change what it is given, so it gets documents of its own.
        self.missing = DocumentArray(copy.copy(document) for document in missing.values())

    @property
    def num_found(self) -> int:
        """How many documents need not be computed."""
        return len(self._keys) - len(self._missing)

    def complete(self, returned: Any) -> DocumentArray:
        """Return the answers of all documents, given what a method returned for those that were missing.

        Raises:
            ValidationError: It is not one document for each.
        """
        if isinstance(returned, dict):
            raise ValidationError(
                "returned a dict, which speaks of a whole call; where answers are kept (cache_size), a method returns"
                " None or a DocumentArray"
            )
        computed = documents_of(returned, self.missing)
        if len(computed) != len(self._missing):
            raise ValidationError(
                f"returned {len(computed)} documents for {len(self._missing)}; where answers are kept (cache_size), a"
                " method must give back as many documents as it got, in their order"
            )
        _to_host(computed)
        answers = dict(zip(self._missing, computed, strict=True))
        self._cache.keep(answers)
        answers |= self._found
        return DocumentArray(_answer(answers[key], d.id) for key, d in zip(self._keys, self._documents, strict=True))


def _answer(kept: Document, id: str) -> Document:  # noqa: A002 - the field's name
    answer = copy.copy(kept)
    answer.id = id
    return answer


def _own(document: Document) -> Document:
    # A view of an array would keep the arrays of the whole batch, and the Executor may write to what it has returned.
    own = copy.deepcopy(document)
    for name in ARRAYS & vars(own).keys():
        value = getattr(own, name)
        setattr(own, name, None if value is None else on_host(value, name))
    return own


def _to_host(documents: DocumentArray) -> None:
    """Move whole columns, which is where an answer goes, rather than a row after the other to be kept."""
    for name in ARRAYS:
        column = documents.column(name)
        if is_device_array(column):
            documents.set_column(name, on_host(column, name))


def _key(prefix: bytes, document: Document) -> bytes | None:
    fields = vars(document)
    if not NESTED.isdisjoint(fields):
        return None  # chunks and matches are not compared: it is like no other
    content = [(name, fields[name]) for name in sorted(fields) if name != "id"]
    return hashlib.blake2b(_encoder.encode(content), key=prefix, digest_size=16).digest()


def _plain(value: Any) -> Any:
    if hasattr(value, "dtype"):
        array = np.asarray(value)
        return [array.dtype.str, array.shape, array.tobytes()]
    return plain.encode_hook(value)


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain, order="sorted")
