"""What is asked in OpenAI's words, and is not what it should be; the real client is in tests/e2e/test_openai.py."""

import msgspec
import pytest

from dure.errors import DecodeError, ValidationError
from dure.gateway.openai import _texts


@pytest.mark.parametrize("given", [b'["\xff"]', b'"\xff"', b'["\\ud800"]', b'["a" "b"]', b"[" * 90_000])
def test_what_is_no_json_is_refused(given: bytes) -> None:
    with pytest.raises((DecodeError, ValidationError)):
        _texts(msgspec.Raw(given))


def test_texts_are_counted() -> None:
    assert _texts(msgspec.Raw(b'"a"')) == (b'["a"]', 1)
    assert _texts(msgspec.Raw(b'["a", "b"]')) == (b'["a", "b"]', 2)
