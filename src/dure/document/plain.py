"""Plain values: what tags may hold, and values as JSON text.

Plain are None, bool, int, float, str, and lists and dicts of them with text keys: what JSON has.
Whatever else a serialiser would turn into one of these without a word is refused. Knows nothing of
documents.
"""

from itertools import chain
from types import NoneType
from typing import Any

import msgspec
import numpy as np

from dure.document.bounds import MAX_JSON_DEPTH
from dure.errors import ValidationError

SCALARS = frozenset((NoneType, bool, int, float, str))
"""The types of plain values that hold no others."""


def check(value: Any, at: str) -> None:
    """Refuse values that would arrive as something else.

    Tuples arrive as lists, numpy's numbers and arrays as numbers and lists of them.

    Args:
        value: For example the tags of a document.
        at: Where it stands, for messages.

    Raises:
        ValidationError: A value that is not plain; the message has its path.
    """
    try:
        _check(value, at)
    except RecursionError as error:
        raise ValidationError(f"{at} is nested too deeply, or contains itself") from error


def check_read(value: Any, at: str) -> None:
    """Refuse lists and dicts, read as JSON, that not everybody could write again.

    Raises:
        ValidationError: More than `MAX_JSON_DEPTH` of them within each other, or whole numbers of more than 64 bits.
    """
    layer = [value]
    for _ in range(MAX_JSON_DEPTH + 1):
        inner = list(chain.from_iterable(one.values() if isinstance(one, dict) else one for one in layer))
        whole = [one for one in inner if type(one) is int]
        if whole and not (min(whole) >= -(2**63) and max(whole) < 2**64):
            raise ValidationError(f"{at}: whole numbers have 64 bits at most; send larger ones as texts")
        layer = [one for one in inner if isinstance(one, dict | list)]
        if not layer:
            return
    raise ValidationError(f"{at} is nested more than {MAX_JSON_DEPTH} deep")


def _check(value: Any, at: str) -> None:
    if type(value) in SCALARS:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ValidationError(f"{at}: keys are texts, not {key!r:.60}")
            if type(inner) not in SCALARS:
                _check(inner, f"{at}[{key!r}]")
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            if type(inner) not in SCALARS:
                _check(inner, f"{at}[{i}]")
    elif not (isinstance(value, np.generic | np.ndarray) and value.dtype.kind in "biufU"):
        raise ValidationError(
            f"{at} is a {type(value).__name__} ({value!r:.60}), which would arrive as something"
            " else; use texts, numbers, True, False, None, lists and dicts of them, or `blob`"
        )


def encode_hook(value: Any) -> Any:
    """Turn numpy's numbers, texts and arrays into Python's, for msgspec's encoders."""
    if isinstance(value, np.generic | np.ndarray) and value.dtype.kind in "biufU":
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} ({value!r:.60})")


_encoder = msgspec.json.Encoder(enc_hook=encode_hook)


def to_json(value: Any, at: str) -> str:
    """Return a plain value as JSON on one line.

    Raises:
        ValidationError: NaN or infinity, which JSON does not have, or text with lone surrogates.
    """
    try:
        data = _encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(f"{at} does not fit into JSON: {error}") from error
    # NaN and infinity are written as null.
    if b"null" in data:
        refuse_nan(value, at)
    return data.decode()


def refuse_nan(value: Any, at: str) -> None:
    """Refuse the numbers that JSON does not have.

    Raises:
        ValidationError: NaN or infinity; the message has its path.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float) and not np.isfinite(value):
        raise ValidationError(f"{at} is {value}, which JSON does not have")
    if isinstance(value, dict):
        for key, inner in value.items():
            refuse_nan(inner, f"{at}.{key}")
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            refuse_nan(inner, f"{at}[{i}]")


def from_json(text: str | bytes, at: str) -> Any:
    """Return the plain value that JSON text holds.

    Raises:
        ValidationError: Not JSON, or not UTF-8.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValidationError(f"{at} is not JSON: {error}: {text!r:.80}") from error
