"""Keys in a file: what is kept of them, and which are good."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dure.errors import SpecError, Unauthenticated
from dure.gateway.keys import Key, KeyRing, Scope, add, read, revoke


def made(path: Path, **fields: Any) -> str:
    settings = {"name": "shop", "scopes": [Scope.INFER], **fields}
    return add(path, lambda name, salt, digest: Key(id=name, salt=salt, hash=digest, **settings))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_key_is_found_and_its_secret_is_not_kept(path: Path) -> None:
    key = made(path, weight=2.0)
    secret = key.split("_", 2)[2]
    assert len(secret) == 43, "256 bits"
    assert secret not in path.read_text()
    found = KeyRing(path).find(key.encode())
    assert (found.name, found.weight, found.id) == ("shop", 2.0, key.split("_")[1])


@pytest.mark.parametrize("change", ["", "x", "dure_", "dure__", "DURE", "\xff" * 99])
def test_what_is_no_key_is_refused(path: Path, change: str) -> None:
    key = made(path)
    for given in (change, key + "x", key[:-1], key.replace("dure", change, 1), key[:21] + "^" + key[22:]):
        with pytest.raises(Unauthenticated):
            KeyRing(path).find(given.encode())
    with pytest.raises(Unauthenticated, match="Bearer"):
        KeyRing(path).find(None)


def test_the_secret_of_another_key_is_no_good(path: Path) -> None:
    one, other = made(path), made(path)
    mixed = "_".join([*one.split("_", 2)[:2], other.split("_", 2)[2]])
    with pytest.raises(Unauthenticated, match="not known"):
        KeyRing(path).find(mixed.encode())


def test_an_expired_key_is_refused(path: Path) -> None:
    now = datetime.now(UTC)
    late, soon = made(path, expires_at=now - timedelta(seconds=1)), made(path, expires_at=now + timedelta(days=1))
    with pytest.raises(Unauthenticated, match="expired"):
        KeyRing(path).find(late.encode())
    assert KeyRing(path).find(soon.encode()).state == "good"


def test_a_change_of_the_file_is_seen_within_a_second_and_not_looked_for_more_often(path: Path) -> None:
    key, clock = made(path), Clock()
    ring = KeyRing(path, clock)
    assert [ended.name for ended in revoke(path, "shop")] == ["shop"]
    clock.now = 0.9
    ring.find(key.encode())
    clock.now = 1.0
    with pytest.raises(Unauthenticated, match="revoked"):
        ring.find(key.encode())


def test_half_a_file_locks_nobody_out(path: Path) -> None:
    key, clock = made(path), Clock()
    ring = KeyRing(path, clock)
    path.write_text('{"keys": [')
    clock.now = 2.0
    ring.find(key.encode())
    path.unlink()
    clock.now = 4.0
    ring.find(key.encode())


def test_the_file_is_its_user_s_alone_and_replaced_whole(path: Path) -> None:
    made(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.stat().st_ino
    made(path)
    assert path.stat().st_ino != before
    assert os.listdir(path.parent) == ["keys.json"]
    assert len(read(path)) == 2


def in_a_file(**fields: str) -> str:
    key = {"id": "a", "name": "a", "salt": "00", "hash": "00", "scopes": ["infer"], **fields}
    return json.dumps({"keys": [key]})


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", '{"keys": [{}]}', '{"keys": [], "more": 1}', '{"keys": ' + "[" * 9000),
        *(in_a_file(salt="xy"), in_a_file(hash="0"), in_a_file(expires_at="2020-01-01T00:00:00")),
    ],
)
def test_what_is_no_file_of_keys_is_said(path: Path, content: str) -> None:
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(SpecError, match=r"keys_file: .*keys\.json is no file of keys"):
        KeyRing(path)


def test_a_file_that_is_not_there_or_open_to_others_is_refused(path: Path) -> None:
    with pytest.raises(SpecError, match="dure keys add"):
        KeyRing(path)
    made(path)
    path.chmod(0o666)
    with pytest.raises(SpecError, match="chmod 600"):
        KeyRing(path)


def test_nobody_to_revoke(path: Path) -> None:
    made(path)
    revoke(path, "shop")
    with pytest.raises(SpecError, match="no key 'shop'"):
        revoke(path, "shop")
