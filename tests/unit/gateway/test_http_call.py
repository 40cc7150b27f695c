"""How long an answer over HTTP is of use."""

import pytest

from dure.errors import ValidationError
from dure.gateway.http_call import timeout_of
from dure.gateway.http_exchange import Exchange


def asked(value: bytes) -> Exchange:
    return Exchange({"method": "POST", "path": "/", "headers": [(b"x-request-timeout-ms", value)]}, None, None)


def test_the_shorter_time_counts() -> None:
    assert timeout_of(asked(b"1500"), 0.0) == 1.5
    assert timeout_of(asked(b"1500"), 1.0) == 1.0


@pytest.mark.parametrize("value", [b"0", b"-1", b"1.5", b"", b"9" * 400, b"9" * 5000])
def test_times_that_are_none(value: bytes) -> None:
    with pytest.raises(ValidationError, match="a whole number of milliseconds"):
        timeout_of(asked(value), 0.0)
