"""Where a client looks for its Flow."""

from typing import Any

import pytest

from dure.client.client import Client
from dure.errors import ConnectionLost, SpecError


@pytest.mark.parametrize(
    ("arguments", "host", "port"),
    [
        ({"port": 5}, "127.0.0.1", 5),
        ({"host": "example.org:7"}, "example.org", 7),
        ({"host": "grpc://example.org:7"}, "example.org", 7),
        ({"host": "example.org", "port": "8"}, "example.org", 8),
        ({"host": "::1", "port": 8}, "::1", 8),
        ({"host": "grpc://[::1]:8"}, "::1", 8),
    ],
)
def test_addresses(arguments: dict[str, Any], host: str, port: int) -> None:
    client = Client(**arguments)
    assert (client.host, client.port) == (host, port)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"Client\.port: say which port"),
        ({"host": "example.org"}, r"Client\.port"),
        ({"port": "http"}, r"Client\.port"),
        ({"host": "http://example.org:80"}, "must be 'native' or 'grpc', not 'http'"),
        ({"port": 1, "protocol": "rest"}, "not 'rest'"),
        ({"port": 1, "request_sice": 3}, r"Client\.request_sice: .*Did you mean 'request_size'"),
        ({"port": 1, "max_in_flight": 0}, r"Client\.max_in_flight"),
    ],
)
def test_wrong_addresses_and_limits(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Client(**arguments)


def test_our_own_channel_is_only_of_this_machine() -> None:
    with pytest.raises(ConnectionLost, match="no Flow of this user listens at 127"):
        Client(port=1, protocol="native").post("/", "x")
