"""Loaded models: one load however many ask, the old version until the new one is there, and who goes first."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dure.bib.residence import Residence
from dure.device.context import Context
from dure.errors import ModelError, ModelNotFound
from dure.store.store import ModelStore


class Loader:
    """Reads a model as its text; can be held up, and counts."""

    def __init__(self) -> None:
        self.count = 0
        self.may = threading.Event()
        self.may.set()

    def __call__(self, folder: Path, _context: Context) -> Any:
        self.count += 1
        assert self.may.wait(5)
        text = (folder / "weights").read_text()
        if text == "bad":
            raise RuntimeError("cannot be read")
        return text


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path)


def publish(store: ModelStore, name: str, text: str) -> None:
    def write(folder: Path) -> None:
        (folder / "weights").write_text(text)

    store.publish(name, write, {"task": "tc"})


def said(residence: Residence, reference: str) -> str:
    with residence.lease(reference) as lease:
        return str(lease.model)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def names(residence: Residence) -> set[str]:
    return {str(version) for version in residence.loaded()}


def test_many_who_ask_at_once_load_once(store: ModelStore, loader: Loader) -> None:
    publish(store, "m", "one")
    residence = Residence(store, load=loader)
    loader.may.clear()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(residence.take, reference) for reference in ["m", "m@1"] * 4]
        until(lambda: loader.count == 1)
        time.sleep(0.05)
        loader.may.set()
        leases = [answer.result() for answer in answers]
    assert loader.count == 1
    assert {str(lease.model) for lease in leases} == {"one"}
    assert all(lease.load_time_s > 0.04 for lease in leases)
    with residence.lease("m") as lease:
        assert lease.load_time_s == 0


def test_the_old_version_serves_until_the_new_one_is_there(store: ModelStore, loader: Loader) -> None:
    publish(store, "m", "one")
    residence = Residence(store, load=loader)
    assert said(residence, "m") == "one"
    loader.may.clear()
    publish(store, "m", "two")
    assert [said(residence, "m") for _ in range(5)] == ["one"] * 5
    until(lambda: loader.count == 2)
    loader.may.set()
    until(lambda: said(residence, "m") == "two")
    assert loader.count == 2
    assert names(residence) == {"m@2"}


def test_a_version_that_is_asked_for_by_its_number_stays(store: ModelStore, loader: Loader) -> None:
    publish(store, "m", "one")
    residence = Residence(store, load=loader)
    assert [said(residence, "m@1"), said(residence, "m")] == ["one", "one"]
    publish(store, "m", "two")
    until(lambda: said(residence, "m") == "two")
    assert names(residence) == {"m@1", "m@2"}


def test_a_new_version_that_cannot_be_loaded_changes_nothing(store: ModelStore, loader: Loader) -> None:
    publish(store, "m", "one")
    residence = Residence(store, load=loader)
    assert said(residence, "m") == "one"
    publish(store, "m", "bad")
    said(residence, "m")
    until(lambda: loader.count == 2)
    for _ in range(5):
        assert said(residence, "m") == "one"
        time.sleep(0.01)
    assert loader.count == 2
    publish(store, "m", "three")
    until(lambda: said(residence, "m") == "three")


def test_who_waits_for_a_model_that_cannot_be_loaded_hears_why(store: ModelStore, loader: Loader) -> None:
    publish(store, "m", "bad")
    residence = Residence(store, load=loader)
    for _ in range(2):
        with pytest.raises(ModelError, match=r"m@1 cannot be loaded: RuntimeError\('cannot be read'\)"):
            said(residence, "m")
    with pytest.raises(ModelNotFound):
        said(residence, "n")
    assert residence.take_loaded("n") is None


def test_who_was_used_longest_ago_goes_first_and_nobody_in_use(store: ModelStore, loader: Loader) -> None:
    for name in "abc":
        publish(store, name, name * 10)
    residence = Residence(store, max_bytes=25, load=loader)
    for name in "ab":
        said(residence, name)
    said(residence, "a")
    said(residence, "c")
    assert names(residence) == {"a@1", "c@1"}
    with residence.lease("a"), residence.lease("c"):
        said(residence, "b")
        assert names(residence) >= {"a@1", "c@1"}
    assert sum(version.size_bytes for version in residence.loaded()) <= 25
    publish(store, "big", "x" * 26)
    with pytest.raises(ModelError, match="takes 26 bytes, and models may take 25"):
        said(residence, "big")


def test_an_unloaded_model_is_loaded_when_it_is_asked_again(store: ModelStore, loader: Loader) -> None:
    publish(store, "m", "one")
    residence = Residence(store, load=loader)
    with residence.lease("m") as lease:
        assert [str(version) for version in residence.unload("m")] == ["m@1"]
        assert str(lease.model) == "one"
    assert not residence.loaded()
    assert not residence.unload("m")
    assert said(residence, "m") == "one"
    assert loader.count == 2


def test_what_a_name_means_is_seen_at_once(store: ModelStore, loader: Loader) -> None:
    """Also when versions and aliases change faster than the file system's clock ticks."""
    publish(store, "m", "one")
    publish(store, "m", "two")
    residence = Residence(store, load=loader)
    said(residence, "m@1")
    said(residence, "m@2")
    for number in [1, 2] * 20:
        store.alias("m", "prod", number)
        assert said(residence, "m@prod") == ("one", "two")[number - 1]
    for _ in range(3):
        time.sleep(0.11)  # what it means is settled, and not looked up
        assert said(residence, "m@prod") == "two"
    store.delete("m@1")
    with pytest.raises(ModelNotFound):
        said(residence, "m@1")
