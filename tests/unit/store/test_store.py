"""The model store: what is published appears whole, keeps its number, and is found under its names."""

import errno
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dure.errors import ModelError, ModelNotFound, ValidationError
from dure.store.home import home_folder
from dure.store.store import ModelStore


def writing(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "weights").write_text(text)

    return write


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def test_versions_count_up_and_the_newest_is_meant(store: ModelStore) -> None:
    first, second = (store.publish("m", writing(text), {"task": "tc"}) for text in ("one", "two"))
    assert [first.number, second.number] == [1, 2]
    assert store.names() == ["m"]
    assert store.versions("m") == [first, second]
    assert store.resolve("m") == second
    assert store.resolve("m@1") == first
    assert (store.resolve("m").folder / "weights").read_text() == "two"
    assert second.size_bytes == 3


def test_an_alias_is_moved_and_forgotten(store: ModelStore) -> None:
    for text in ("one", "two"):
        store.publish("감정.m", writing(text), {})
    store.alias("감정.m", "prod", 1)
    assert store.resolve("감정.m@prod").number == 1
    assert store.versions("감정.m")[0].aliases == ("prod",)
    store.alias("감정.m", "prod", 2)
    assert store.resolve("감정.m@prod").number == 2
    store.unalias("감정.m", "prod")
    with pytest.raises(ModelNotFound, match="There are 1, 2; aliases: none"):
        store.resolve("감정.m@prod")
    with pytest.raises(ModelNotFound):
        store.alias("감정.m", "prod", 7)


def test_an_unknown_model_is_told_with_those_there_are(store: ModelStore) -> None:
    with pytest.raises(ModelNotFound, match="none yet"):
        store.resolve("news")
    store.publish("news", writing("x"), {})
    with pytest.raises(ModelNotFound, match=r"Did you mean 'news'.*There are: news"):
        store.resolve("newz")


def test_what_fails_leaves_nothing(store: ModelStore) -> None:
    def write(folder: Path) -> None:
        (folder / "weights").write_text("half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        store.publish("m", write, {})
    assert store.names() == []
    assert [path.name for path in (store.folder / "m").iterdir()] == [".lock"]


def test_a_full_disk_is_told_and_leaves_nothing(store: ModelStore) -> None:
    store.publish("m", writing("old"), {})

    def write(folder: Path) -> None:
        (folder / "weights").write_text("half")
        if not Path("/dev/full").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        Path("/dev/full").write_text("all")  # the kernel's own refusal

    with pytest.raises(ModelError, match=r"disk is full.*Nothing was kept"):
        store.publish("m", write, {})
    with pytest.raises(ModelError, match="disk is full"):
        store.publish("m", _as_a_library_tells_it, {})
    assert [version.number for version in store.versions("m")] == [1]
    assert sorted(path.name for path in (store.folder / "m").iterdir()) == [".lock", "1"]


def _as_a_library_tells_it(_folder: Path) -> None:
    raise ValueError("Error while serializing: I/O error: No space left on device (os error 28)")


def test_what_a_killed_process_left_is_removed(store: ModelStore) -> None:
    store.publish("m", writing("x"), {})
    for name in (".new-dead", ".new-2-deleted"):
        (store.folder / "m" / name).mkdir()
        (store.folder / "m" / name / "weights").write_text("half")
    (store.folder / "m" / ".new-7-beef").write_text("half an alias file")
    assert [version.number for version in store.versions("m")] == [1]
    store.publish("m", writing("y"), {})
    assert sorted(path.name for path in (store.folder / "m").iterdir()) == [".lock", "1", "2"]


def _publish(folder: Path, times: int) -> None:
    for _ in range(times):
        ModelStore(folder).publish("m", writing(str(os.getpid())), {})


def test_publishers_never_collide(store: ModelStore) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_publish, args=(store.folder, 8)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    versions = store.versions("m")
    assert [version.number for version in versions] == list(range(1, 25))
    for version in versions:
        version.verify()


def test_a_number_is_not_used_twice(store: ModelStore) -> None:
    for text in ("one", "two"):
        store.publish("m", writing(text), {})
    assert [version.number for version in store.delete("m@2")] == [2]
    assert store.publish("m", writing("three"), {}).number == 3
    store.delete("m")
    assert store.names() == []
    assert store.publish("m", writing("four"), {}).number == 4


def test_what_an_alias_points_at_is_not_deleted(store: ModelStore) -> None:
    store.publish("m", writing("one"), {})
    store.alias("m", "prod", 1)
    for reference in ("m", "m@1"):
        with pytest.raises(ValidationError, match="m@prod points at"):
            store.delete(reference)
    with pytest.raises(ValidationError, match="is an alias"):
        store.delete("m@prod")
    store.delete("m@1", with_aliases=True)
    with pytest.raises(ModelNotFound):
        store.resolve("m@prod")


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_file_is_named(store: ModelStore, damage: str) -> None:
    version = store.publish("m", writing("right"), {})
    version.verify()
    path = version.folder / "weights"
    path.write_text("wrong") if damage == "changed" else path.unlink()
    with pytest.raises(ModelError, match=r"m@1 is damaged: .*weights"):
        store.resolve("m").verify()


def test_a_damaged_card_is_named_and_hides_no_other(store: ModelStore) -> None:
    for text in ("one", "two"):
        store.publish("m", writing(text), {})
    (store.folder / "m" / "2" / "card.json").write_text("{")
    with pytest.raises(ModelError, match=r"card\.json is damaged"):
        store.resolve("m")
    assert store.resolve("m@1").number == 1
    assert "damaged" in store.versions("m")[1].card


def test_whatever_changes_is_seen_by_one_look(store: ModelStore) -> None:
    changes: list[Callable[[], object]] = [
        lambda: store.publish("m", writing("one"), {}),
        lambda: store.publish("m", writing("two"), {}),
        lambda: store.alias("m", "prod", 1),
        lambda: store.delete("m@2"),
    ]
    assert store.changed("m") is None
    seen = []
    for change in changes:
        time.sleep(0.02)  # more than a tick of the file system's clock
        change()
        seen.append(store.changed("m"))
    assert len(set(seen)) == 4
    assert store.changed("m") == seen[-1]


def test_home_is_said_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DURE_HOME", str(tmp_path))
    assert home_folder() == tmp_path
    monkeypatch.delenv("DURE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert home_folder() == tmp_path / "dure"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert home_folder() == Path.home() / ".local" / "share" / "dure"
