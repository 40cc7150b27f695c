"""Who is let in, and what it may do once it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from dure.errors import DureError, Forbidden, RateLimited, SpecError, Unauthenticated
from dure.gateway.audit import Audit
from dure.gateway.guard import Guard
from dure.gateway.keys import Key, Scope, add
from dure.gateway.limits import Limits
from dure.gateway.visit import Arrival
from dure.spec import GatewaySpec


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def arrival(key: str | None = None, address: str = "127.0.0.1", **fields: Any) -> Arrival:
    return Arrival("http", "/encode", address, None if key is None else key.encode(), **fields)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def made(path: Path, *scopes: Scope, **fields: Any) -> str:
    limits = Limits(**fields.pop("limits", {}))
    values = {"name": "shop", "scopes": list(scopes) or [Scope.INFER], "limits": limits, **fields}
    return add(path, lambda name, salt, digest: Key(id=name, salt=salt, hash=digest, **values))


def guard(path: Path | None = None, **settings: Any) -> Guard:
    return Guard(GatewaySpec(keys_file=None if path is None else str(path), **settings))


def test_a_key_opens_what_it_is_good_for(path: Path) -> None:
    key = made(path, Scope.INFER, weight=3.0, max_priority=7)
    door = guard(path)
    visit = door.admit(Scope.INFER, arrival(key))
    assert (visit.client, visit.weight, visit.max_priority) == (key.split("_")[1], 3.0, 7)
    with pytest.raises(Forbidden, match="'admin'"):
        door.admit(Scope.ADMIN, arrival(key))
    with pytest.raises(Unauthenticated):
        door.admit(Scope.INFER, arrival())
    assert door.admit(None, arrival()).client == "127.0.0.1"
    assert door.refused == {"forbidden": 1, "unauthenticated": 1}


def test_without_keys_this_machine_may_do_everything_and_others_may_not() -> None:
    door = guard()
    for scope in Scope:
        door.admit(scope, arrival())
    door.admit(Scope.INFER, arrival(address="192.0.2.1"))
    with pytest.raises(Forbidden):
        door.admit(Scope.ADMIN, arrival(address="192.0.2.1"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_to_serve_everybody_must_be_said(host: str, path: Path) -> None:
    with pytest.raises(SpecError, match=r"keys_file.*insecure=True"):
        guard(host=host)
    guard(host=host, insecure=True)
    made(path)
    guard(path, host=host)


def test_a_call_is_counted_once_and_lets_go_of_its_place(path: Path) -> None:
    key = made(path, limits={"max_requests_per_s": 100, "max_concurrent": 1})
    door = guard(path)
    visit = door.admit(Scope.INFER, arrival(key))
    visit.begin(1, 10)
    with pytest.raises(RateLimited, match="max_concurrent"):
        door.admit(Scope.INFER, arrival(key))
    visit.release()
    visit.release()
    door.admit(Scope.INFER, arrival(key)).release()


def test_requests_of_a_stream_are_counted_each(path: Path) -> None:
    key = made(path, limits={"max_requests_per_s": 3, "max_concurrent": 2})
    visit = guard(path).admit(Scope.INFER, arrival(key, is_stream=True))
    visit.begin(1, 1)
    visit.begin(1, 1)
    with pytest.raises(RateLimited, match="max_concurrent"):
        visit.begin(1, 1)
    visit.end(None, None, 0.1)
    visit.begin(1, 1)
    visit.end(None, None, 0.1)
    with pytest.raises(RateLimited, match="max_requests_per_s"):
        visit.begin(1, 1)
    visit.release()


@pytest.mark.parametrize("name", ["max_rows_per_s", "max_bytes_per_s", "max_tokens_per_s"])
def test_documents_bytes_and_tokens_are_counted(path: Path, name: str) -> None:
    key = made(path, limits={name: 10})
    door = guard(path)
    door.admit(Scope.INFER, arrival(key)).begin(8, 8, 8)
    with pytest.raises(RateLimited, match=name):
        door.admit(Scope.INFER, arrival(key)).begin(8, 8, 8)


def test_addresses_have_limits_of_their_own(path: Path) -> None:
    keys = [made(path), made(path)]
    door = guard(path, max_requests_per_s_per_address=2)
    for key in keys:
        door.admit(Scope.INFER, arrival(key)).release()
    with pytest.raises(RateLimited, match=r"address 127\.0\.0\.1 .*max_requests_per_s=2"):
        door.admit(Scope.INFER, arrival(keys[0]))
    door.admit(Scope.INFER, arrival(keys[0], "192.0.2.1"))


def test_one_household_is_one_address() -> None:
    door = guard(max_requests_per_s_per_address=1)
    door.admit(Scope.INFER, arrival(address="2001:db8::1"))
    with pytest.raises(RateLimited):
        door.admit(Scope.INFER, arrival(address="2001:db8::2"))
    door.admit(Scope.INFER, arrival(address="2001:db8:0:1::2"))
    door.admit(Scope.INFER, arrival(address="::ffff:192.0.2.1"))
    with pytest.raises(RateLimited):
        door.admit(Scope.INFER, arrival(address="192.0.2.1"))


def test_who_tries_out_keys_is_slowed_down(path: Path) -> None:
    made(path)
    door = guard(path, max_requests_per_s_per_address=5)
    codes = []
    for _ in range(7):
        with pytest.raises(DureError) as failure:
            door.admit(Scope.INFER, arrival("dure_wrong"))
        codes.append(failure.value.code)
    assert codes == ["unauthenticated"] * 5 + ["rate_limited"] * 2


def test_two_limits_are_taken_together_or_not_at_all(path: Path) -> None:
    key, other = made(path, limits={"max_requests_per_s": 1}), made(path)
    door = guard(path, max_requests_per_s_per_address=2)
    door.admit(Scope.INFER, arrival(key)).release()
    with pytest.raises(RateLimited, match="API key"):
        door.admit(Scope.INFER, arrival(key))
    door.admit(Scope.INFER, arrival(other)).release()


async def test_what_is_written_down(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    key = made(path)
    secret = key.split("_", 2)[2]
    door = Guard(GatewaySpec(keys_file=str(path)), Audit(file))
    door.admit(Scope.INFER, arrival(key)).release("http_400")
    for wrong in (key[:-1] + "!", secret, None):
        with pytest.raises(Unauthenticated):
            door.admit(Scope.INFER, arrival(wrong))
    door.close()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["http_400", *["unauthenticated"] * 3]
    assert lines[0]["key"] == key.split("_")[1]
    assert secret[:8] not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
