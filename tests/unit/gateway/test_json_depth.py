"""How deep JSON is nested."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.document.bounds import MAX_JSON_DEPTH
from dure.errors import DecodeError
from dure.gateway.json_depth import check_depth

TEXTS = st.text(alphabet='[]{}"\\ax가') | st.text()
VALUES = st.recursive(st.none() | st.integers() | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner))


def nested(depth: int) -> bytes:
    return b'{"a":[' * (depth // 2) + b"[" * (depth % 2) + b"1" + b"]" * (depth % 2) + b"]}" * (depth // 2)


@pytest.mark.parametrize("depth", [0, 1, 99, MAX_JSON_DEPTH])
def test_so_deep_it_may_be(depth: int) -> None:
    check_depth(nested(depth))


@pytest.mark.parametrize("depth", [MAX_JSON_DEPTH + 1, 1000, 100_000])
def test_deeper_it_may_not(depth: int) -> None:
    for text in (nested(depth), nested(depth).decode(), b"[" * depth, b"[" * 50 + nested(depth)):
        with pytest.raises(DecodeError, match="100 deep"):
            check_depth(text)


@given(st.lists(VALUES, max_size=5), st.booleans())
def test_brackets_in_strings_do_not_count(values: list[Any], ascii_only: bool) -> None:
    text = json.dumps([*values, '[{"\\' * 200, "\\", {"\\": '"'}] * 30, ensure_ascii=ascii_only)
    check_depth(text)
    with pytest.raises(DecodeError):
        check_depth(text[:-1] + "," + nested(MAX_JSON_DEPTH).decode() + "]")


def test_a_large_body_takes_little() -> None:
    check_depth(json.dumps([{"text": "a" * 1000}] * 1000))
