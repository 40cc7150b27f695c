"""Lines of the log."""

import io
import logging

import pytest

from dure.log import get_logger


def test_no_api_key_stands_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "dure_3f9ab8c1d2e4f607_" + "aB3-_" * 8 + "xyz"
    logger = get_logger("gateway")
    handler = logging.getLogger("dure").handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    monkeypatch.setattr(handler, "stream", into := io.StringIO())
    try:
        raise ValueError(key)
    except ValueError:
        logger.exception("given was %s", key)
    text = into.getvalue()
    assert text.count("dure_3f9ab8c1d2e4f607_…") == 2
    assert "aB3" not in text
