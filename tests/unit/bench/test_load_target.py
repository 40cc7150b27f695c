import pytest

from dure.bench.load_target import parse
from dure.errors import SpecError


@pytest.mark.parametrize(
    ("text", "kind", "host"),
    [
        ("localhost:1234", "flow", "localhost"),
        ("grpc://10.0.0.1:1234", "flow", "10.0.0.1"),
        ("native://[::1]:1234", "flow", "::1"),
        ("oip+http://host:8000/encoder", "oip", "host"),
        ("oip+https://host/encoder/versions/2", "oip", "host"),
        ("http://host:8000/encode?x=1", "http", "host"),
        ("https://host", "http", "host"),
    ],
)
def test_addresses(text: str, kind: str, host: str) -> None:
    target = parse(text)
    assert (target.kind, target.host, target.address) == (kind, host, text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ftp://host:1", "begins with 'ftp'"),
        ("://host:1", "begins with ''"),
        ("host", "does not say which host and port"),
        ("grpc://:1234", "does not say which host and port"),
        ("host:port", "Port could not be cast"),
        ("grpc://host:1234/encode", "give --endpoint /encode"),
        ("oip+http://host:8000/", "does not say which model"),
        ("", "does not say which host and port"),
    ],
)
def test_what_is_no_address_is_refused_with_what_would_be(text: str, told: str) -> None:
    with pytest.raises(SpecError, match=r"target: ") as caught:
        parse(text)
    assert told in str(caught.value)


def test_this_machine_is_known() -> None:
    assert parse("http://127.0.0.1:1/").is_local
    assert parse("localhost:1").is_local
    assert not parse("http://192.0.2.1:1/").is_local  # kept for documentation: nobody's address


def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(SpecError, match="no host that is known here"):
        _ = parse("http://no-such-host.invalid:1/").is_local
