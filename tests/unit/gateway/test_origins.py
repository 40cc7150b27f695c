"""Names and web pages: which are let in."""

from typing import Any

import pytest

from dure.errors import Forbidden
from dure.gateway.origins import Origins
from dure.spec import GatewaySpec


def let_in(host: str, origin: str | None = None, **settings: Any) -> bytes | None:
    headers = {b"host": host.encode()} | ({} if origin is None else {b"origin": origin.encode()})
    return Origins(GatewaySpec(**settings)).check(headers)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:80",
        "LOCALHOST:80",
        "a.localhost",
        "[::1]:80",
        "[2001:db8::1]",
        "192.0.2.1:1",
        "10.0.0.1",
    ],
)
def test_addresses_and_this_machine_s_own_name(host: str) -> None:
    assert let_in(host) is None


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil", "a b"]
)
def test_other_names_are_refused(host: str) -> None:
    with pytest.raises(Forbidden, match="allowed_hosts"):
        let_in(host)
    with pytest.raises(Forbidden):
        Origins(GatewaySpec()).check({})


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("api.example", "api.example:8080"),
        ("API.example", "api.EXAMPLE"),
        ("*.example", "a.b.example"),
        ("*", "whatever"),
    ],
)
def test_names_that_were_said(allowed: str, host: str) -> None:
    assert let_in(host, allowed_hosts=[allowed]) is None


def test_a_suffix_is_not_the_name_itself_nor_another_that_ends_like_it() -> None:
    for host in ("example", "notexample", "evilexample"):
        with pytest.raises(Forbidden):
            let_in(host, allowed_hosts=["*.example"])


def test_its_own_addresses() -> None:
    assert Origins(GatewaySpec(host="house")).check({b"host": b"house:80"}) is None
    assert let_in("api.example", public_address="api.example") is None


def test_origins() -> None:
    settings: dict[str, Any] = {"cors_origins": ["https://Shop.example/"]}
    assert let_in("localhost", "https://shop.example", **settings) == b"https://shop.example"
    assert let_in("localhost:8080", "http://localhost:8080", **settings) is None
    for other in ("http://shop.example", "https://shop.example.evil", "null", "http://localhost:9", ""):
        with pytest.raises(Forbidden, match="cors_origins"):
            let_in("localhost:8080", other, **settings)
    assert let_in("localhost", "https://any.example", cors_origins=["*"]) == b"https://any.example"


def test_what_is_remembered_is_bounded() -> None:
    origins = Origins(GatewaySpec(allowed_hosts=["*"]))
    for number in range(1000):
        origins.check({b"host": b"%d.example" % number})
    assert len(origins._known) <= 256
