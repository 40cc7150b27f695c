"""Inputs that are nearly right: valid ones that were cut, flipped, doubled, or that lie about their lengths."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

NUMBERS = (
    *(0, -1, 1, 2, 33, 101, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, 10**30),
    *(0.5, -0.0, 1e308, 5e-324, math.nan, math.inf, -math.inf),
)
WORDS = (
    *("", "a", "a\0b", "x" * 300, "\ufeff", "\U0001f469\u200d", "한글", "/", "..", "%2e%2e", "id", "text", "embedding"),
    *("tensor", "chunks", "tags", "BYTES", "FP32", "<f4", "|O", "null", "NaN", "1" * 400),
)


def nested(depth: int, inner: Any = 0) -> Any:
    """Return lists within each other."""
    for _ in range(depth):
        inner = [inner]
    return inner


ODD: tuple[Any, ...] = (
    *NUMBERS,
    *WORDS,
    None,
    True,
    False,
    [],
    [[]],
    {},
    {"a": {}},
    [None],
    [1, "a"],
    nested(40),
    nested(101),
)
"""Values that are seldom meant."""

TOKENS = (
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b'"',
        b"\\",
        b",",
        b":",
        b"null",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-",
        b"9" * 400,
        b"9" * 5000,
    ),
    *(
        b'"\\ud800"',
        b'"\\u0000"',
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\0",
        b"\r\n",
        b"\n",
        b"--",
        b"=",
        b"&",
        b"%00",
        b"%",
    ),
    *(b"[" * 101, b"[" * 5000, b'{"a":' * 101, b"\x91" * 600, b"\x81\xa1a" * 600, b"\xd7\xff" + b"\xff" * 8, b"\xc1"),
    *(b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"),
    *(
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\xff\xff\xff\x7f",
        b"\0\0\0\x80",
        b"\xff" * 8,
        b"\x80" * 10,
        b"\x0a\x80\x80\x80\x80\x08",
    ),
)
"""Runs of bytes that some reader takes for more than bytes."""

Change = Callable[[bytes], bytes]
_places = st.floats(0, 1)


def _cut(place: float, length: int) -> Change:
    return lambda data: data[: int(place * len(data))] + data[int(place * len(data)) + length :]


def _end(place: float) -> Change:
    return lambda data: data[: int(place * len(data))]


def _insert(place: float, what: bytes) -> Change:
    return lambda data: data[: int(place * len(data))] + what + data[int(place * len(data)) :]


def _overwrite(place: float, what: bytes) -> Change:
    return lambda data: data[: int(place * len(data))] + what + data[int(place * len(data)) + len(what) :]


def _double(place: float, length: int, times: int) -> Change:
    def change(data: bytes) -> bytes:
        at = int(place * len(data))
        return data[:at] + data[at : at + length] * times + data[at + length :]

    return change


def _flip(place: float, bit: int) -> Change:
    def change(data: bytes) -> bytes:
        at = min(int(place * len(data)), len(data) - 1)
        return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :] if data else data

    return change


_pieces = st.sampled_from(TOKENS) | st.binary(min_size=1, max_size=9)
changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(_flip, _places, st.integers(0, 7)),
    st.builds(_overwrite, _places, _pieces),
    st.builds(_insert, _places, _pieces),
    st.builds(_cut, _places, st.integers(1, 16)),
    st.builds(_end, _places),
    st.builds(_double, _places, st.integers(1, 64), st.integers(2, 50)),
)


@st.composite
def changed(draw: st.DrawFn, valid: Sequence[bytes]) -> bytes:
    """Draw a valid input, changed in some places; also such a thing in the middle of another."""
    data = draw(st.sampled_from(valid))
    for change in draw(st.lists(changes, min_size=1, max_size=4)):
        data = change(data)
    if draw(st.integers(0, 9)) == 0:
        data = _insert(draw(_places), draw(st.sampled_from(valid)))(data)
    return data


def around(valid: Sequence[bytes], max_size: int = 200) -> st.SearchStrategy[bytes]:
    """Draw bytes: mostly valid ones that were changed, also any."""
    near = changed(valid)
    return st.one_of(near, near, near, st.binary(max_size=max_size))


@st.composite
def repeated(draw: st.DrawFn, valid: Sequence[bytes], size: int = 64 * 1024) -> bytes:
    """Draw a large input, in which a small piece of a valid one stands many times over."""
    data = draw(st.sampled_from(valid))
    start = draw(st.integers(0, max(len(data) - 1, 0)))
    length = draw(st.integers(1, 24))
    unit = draw(st.just(data[start : start + length]) | st.sampled_from(TOKENS) | st.binary(min_size=1, max_size=4))
    unit = unit or b"\0"
    return data[:start] + unit * (size // len(unit)) + data[start + draw(st.sampled_from((0, length))) :]


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += _paths(inner, (*at, key))
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            found += _paths(inner, (*at, i))
    return found


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    first, *rest = path
    if isinstance(value, dict):
        return {key: _replaced(inner, tuple(rest), new) if key == first else inner for key, inner in value.items()}
    return [_replaced(inner, tuple(rest), new) if i == first else inner for i, inner in enumerate(value)]


def _renamed(value: Any, path: tuple[Any, ...], name: Any) -> Any:
    *outer, key = path
    holder = value
    for step in outer:
        holder = holder[step]
    if not isinstance(holder, dict):
        return _replaced(value, path, name)
    return _replaced(value, tuple(outer), {(name if k == key else k): inner for k, inner in holder.items()})


@st.composite
def odd(draw: st.DrawFn, valid: Sequence[Any], more: Sequence[Any] = ()) -> Any:
    """Draw a valid value of lists, dicts and scalars in which some parts are something else."""
    value = draw(st.sampled_from(valid))
    for _ in range(draw(st.integers(1, 3))):
        paths = _paths(value)
        path = draw(st.sampled_from(paths))
        if path and draw(st.integers(0, 4)) == 0:
            value = _renamed(value, path, draw(st.sampled_from(WORDS)))
        else:
            parts = [_at(value, p) for p in paths]
            value = _replaced(value, path, draw(st.sampled_from([*ODD, *more, *parts])))
    return value


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def as_json(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Draw these as JSON, with NaN and Infinity where they have some."""
    return values.map(lambda value: json.dumps(value).encode())
