"""Exceptions on the private pipe: rebuilt where that can be, told in any case."""

import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dure.errors import DeviceNotFound
from dure.executor.loader import _import_file
from dure.transport.failure import Failure, rebuild, take_apart


class Picky(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


class Locked(Exception):
    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - with its traceback
        return caught


def sent(error: BaseException) -> Failure:
    data = msgspec.msgpack.encode(take_apart(raised(error)))
    return msgspec.msgpack.decode(data, type=Failure)


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit(3), DeviceNotFound("no gpu"), OSError(2, "no file", "x")])
def test_it_comes_back(error: BaseException) -> None:
    back = rebuild(sent(error))
    assert type(back) is type(error)
    assert (back.args, str(back)) == (error.args, str(error))


@pytest.mark.parametrize(("error", "text"), [(Picky(1, 2), "1 and 2"), (Locked(), "locked")], ids=["picky", "locked"])
def test_what_cannot_be_rebuilt_has_a_stand_in(error: Exception, text: str) -> None:
    back = rebuild(sent(error))
    assert (type(back).__module__, type(back).__qualname__) == (type(error).__module__, type(error).__qualname__)
    assert str(back) == text


def test_a_class_that_only_the_child_can_import(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("class Mine(Exception):\n    def __str__(self): return f'mine: {self.args[0]}'\n")
    module: Any = _import_file(path)
    failure = sent(module.Mine(3))
    del sys.modules[module.__name__]
    back = rebuild(failure)
    assert (type(back).__name__, str(back), back.args) == ("Mine", "mine: 3", (3,))


def test_its_name_text_and_traceback() -> None:
    failure = sent(Picky(1, 2))
    assert (failure.name, failure.text) == (f"{__name__}.Picky", "1 and 2")
    assert failure.traceback.startswith("Traceback (most recent call last):")
    assert failure.traceback.endswith("Picky: 1 and 2")
    assert sent(KeyError("x")).name == "KeyError"


def test_pickles_that_are_none() -> None:
    back = rebuild(Failure(name="a.b.C", text="text", traceback="", pickles=[b"nonsense", b""]))
    assert (type(back).__module__, type(back).__name__, str(back)) == ("a.b", "C", "text")
