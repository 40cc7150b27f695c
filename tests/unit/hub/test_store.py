import threading
from pathlib import Path

import pytest

from dure.errors import HubError
from dure.hub.reference import parse_reference
from dure.hub.signature import Signature
from dure.hub.store import Entry, Store, cache_folder

ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
REFERENCE = parse_reference("hub://localhost:5000/team/Shout:1.0")


def add(store: Store, digest: str, text: str = "") -> Entry:
    with store.lock(REFERENCE) as work:
        (work / "bundle").mkdir(parents=True)
        (work / "bundle" / "config.yml").write_text(text)
        return store.add(work, digest)


def test_a_tag_names_a_digest_and_may_move(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.find(REFERENCE) is None
    for digest in (ONE, TWO):
        entry = add(store, digest, digest)
        store.tag(REFERENCE, digest)
        assert store.find(REFERENCE) == entry
        assert (entry.folder / "config.yml").read_text() == digest
    pinned = parse_reference(f"hub://localhost:5000/team/Shout@{ONE}")
    found = store.find(pinned)
    assert found is not None
    assert found.digest == ONE


def test_a_pin_notes_no_tag(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add(store, ONE)
    store.tag(parse_reference(f"hub://localhost:5000/team/Shout@{ONE}"), ONE)
    assert not (tmp_path / "refs").exists()


def test_tags_of_repositories_below_each_other_do_not_meet(tmp_path: Path) -> None:
    store = Store(tmp_path)
    outer, inner = parse_reference("hub://h.x/a:b"), parse_reference("hub://h.x/a/source/b:c")
    add(store, ONE)
    add(store, TWO)
    store.tag(outer, ONE)
    store.tag(inner, TWO)
    assert [entry.digest for one in (outer, inner) if (entry := store.find(one))] == [ONE, TWO]


def test_what_is_half_there_is_not_used_and_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    half = tmp_path / "sha256" / ("1" * 64)
    (half / "bundle").mkdir(parents=True)
    assert store.entry(ONE) is None
    assert (add(store, ONE, "whole").folder / "config.yml").read_text() == "whole"


def test_who_comes_second_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add(store, ONE, "first")
    assert (add(store, ONE, "second").folder / "config.yml").read_text() == "first"
    assert not list((tmp_path / "work").glob("*/"))


def test_one_works_at_a_time_and_what_the_dead_left_is_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.lock(REFERENCE) as work:
        work.mkdir()
        (work / "left").touch()
        order: list[str] = []

        def second() -> None:
            with store.lock(REFERENCE) as mine:
                order.append(f"second sees {mine.exists()}")

        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        order.append("first is done")
    thread.join(5)
    assert order == ["first is done", "second sees False"]


def test_signatures_are_kept(tmp_path: Path) -> None:
    entry = add(Store(tmp_path), ONE)
    assert entry.signatures == []
    entry.keep([Signature(b"\xff", b"\0")])
    assert entry.signatures == [Signature(b"\xff", b"\0")]


def test_a_damaged_tag_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.tag(REFERENCE, "../../etc")
    with pytest.raises(HubError, match=r"'\.\./\.\./etc' is no digest; the cache is damaged"):
        store.find(REFERENCE)


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file")
    with pytest.raises(HubError, match="cannot be written to"), store.lock(REFERENCE):
        pass


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path("/home/me/.cache/dure")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/dure")
    monkeypatch.setenv("DURE_CACHE", "/own")
    assert cache_folder() == Path("/own")
