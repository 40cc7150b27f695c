"""An Executor that cannot be made: the caller gets the original exception, where it was raised, and at once."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dure import Executor, Flow
from dure.errors import StartFailed, ValidationError


class Mine(Exception):
    """Of the user's module, which the caller has imported, too."""

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text, number)
        self.number = number


class Locked(Exception):
    """Holds what cannot be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class Forgetful(Exception):
    """Cannot be made again of what it holds."""

    def __init__(self, a: str, b: str) -> None:
        super().__init__(f"{a} and {b}")


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


RAISED: dict[str, BaseException] = {
    "builtin": KeyError("weights"),
    "mine": Mine("모델이 없어요", 7),
    "forgetful": Forgetful("this", "that"),
    "unprintable": Unprintable(),
    "long": ValueError("x" * 5_000_000),
    "surrogate": ValueError("\ud800"),
    "dure": ValidationError("of dure's own"),
    "exit": SystemExit(3),
    "locked": Locked("holds a lock"),
}


class Broken(Executor):
    """Fails, or ends its process."""

    def __init__(self, how: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sys.stdout.write("loading 모델 🤖\n")
        sys.stdout.flush()
        sys.stderr.write("a warning of its library\n")
        if how in RAISED:
            raise RAISED[how]
        if how == "os exit":
            os._exit(4)
        os.kill(os.getpid(), getattr(signal, how))
        time.sleep(10)


@contextmanager
def failing(uses: Any = Broken, error: type[BaseException] = StartFailed, **settings: Any) -> Iterator[Any]:
    """Start a Flow that must fail, and quickly; yield what is raised."""
    begin = time.monotonic()
    with pytest.raises(error) as caught:
        Flow().add(uses=uses, timeout_ready_s=20, **settings).start()
    took_s = time.monotonic() - begin
    yield caught
    assert took_s < 8, "with a worker that starts in a second, on a busy machine"


def cause_of(how: str) -> tuple[str, BaseException]:
    with failing(uses_with={"how": how}) as caught:
        pass
    assert caught.value.__cause__ is not None
    return str(caught.value), caught.value.__cause__


def test_an_exception_of_python() -> None:
    message, cause = cause_of("builtin")
    assert type(cause) is KeyError
    assert cause.args == ("weights",)
    assert message.startswith("the Executor executor0 could not be constructed: KeyError: 'weights'\n")
    assert "raise RAISED[how]" in message, "the traceback"
    assert "loading 모델 🤖" in message, "its last lines"
    assert "a warning of its library" in message


def test_an_exception_of_the_users_module() -> None:
    message, cause = cause_of("mine")
    assert type(cause) is Mine
    assert (cause.args, cause.number) == (("모델이 없어요", 7), 7)
    assert f"{Mine.__module__}.Mine: ('모델이 없어요', 7)" in message


@pytest.mark.parametrize(
    ("how", "name", "text"),
    [("locked", "Locked", "holds a lock"), ("forgetful", "Forgetful", "this and that")],
)
def test_an_exception_that_cannot_travel(how: str, name: str, text: str) -> None:
    message, cause = cause_of(how)
    assert (type(cause).__name__, type(cause).__module__, str(cause)) == (name, __name__, text)
    assert f"{name}: {text}" in message


@pytest.mark.parametrize(("how", "name"), [("unprintable", "Unprintable"), ("surrogate", "ValueError")])
def test_an_exception_without_a_text(how: str, name: str) -> None:
    message, cause = cause_of(how)
    assert type(cause).__name__ == name
    assert name in message


def test_an_exception_with_a_long_text() -> None:
    message, cause = cause_of("long")
    assert cause.args == ("x" * 5_000_000,)
    assert "ValueError: xxx" in message


def test_an_exception_of_a_module_that_only_the_worker_has(tmp_path: Path) -> None:
    path = tmp_path / "executor.py"
    path.write_text(
        "from dure import Executor\n"
        "class Own(Exception):\n"
        "    def __init__(self, number): self.number = number\n"
        "    def __str__(self): return f'number {self.number}'\n"
        "class Fails(Executor):\n"
        "    def __init__(self): raise Own(7)\n"
    )
    with failing(str(path)) as caught:
        pass
    cause = caught.value.__cause__
    assert (type(cause).__name__, str(cause), cause.number) == ("Own", "number 7", 7)
    assert f'File "{path}", line 6, in __init__' in str(caught.value)


def test_an_error_of_dure_is_itself() -> None:
    with failing(error=ValidationError, uses_with={"how": "dure"}) as caught:
        pass
    assert caught.value.args == ("of dure's own",)
    assert "while the Executor executor0 was started" in caught.value.__notes__[0]


def test_sys_exit() -> None:
    message, cause = cause_of("exit")
    assert isinstance(cause, SystemExit)
    assert cause.code == 3
    assert "SystemExit: 3" in message


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("os exit", "executor0 exited with code 4 before it was ready"),
        ("SIGSEGV", "executor0 was ended by SIGSEGV before it was ready"),
        ("SIGKILL", "executor0 was ended by SIGKILL (out of memory?) before it was ready"),
        ("SIGTERM", "executor0 was ended by SIGTERM before it was ready"),
    ],
)
def test_a_process_that_ends(how: str, told: str) -> None:
    with failing(uses_with={"how": how}) as caught:
        pass
    assert told in str(caught.value)
    assert "loading 모델 🤖" in str(caught.value)
    assert caught.value.__cause__ is None
    if how == "SIGSEGV":
        assert "Segmentation fault" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "name", "text"),
    [
        ("import nothing_like_this\n", "ModuleNotFoundError", "nothing_like_this"),
        ("def f(:\n", "SyntaxError", "executor.py"),
        ("1 / 0\n", "ZeroDivisionError", "division by zero"),
        ("class E(Exception): pass\nraise E('at import')\n", "E", "at import"),
        ("raise SystemExit(5)\n", "SystemExit", "5"),
    ],
)
def test_a_file_that_cannot_be_imported(tmp_path: Path, source: str, name: str, text: str) -> None:
    path = tmp_path / "executor.py"
    path.write_text(source)
    with failing(str(path)) as caught:
        pass
    cause = caught.value.__cause__
    assert type(cause).__name__ == name
    assert text in str(cause)
    assert str(path) in str(caught.value), "the traceback"


def test_one_of_several(tmp_path: Path) -> None:
    begin = time.monotonic()
    flow = Flow().add(timeout_ready_s=20).add(uses=Broken, name="broken", replicas=2, uses_with={"how": "builtin"})
    with pytest.raises(StartFailed, match=r"the Executor broken/[01] could not be constructed"):
        flow.start()
    assert time.monotonic() - begin < 10
    flow.close()


class Late(Executor):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sys.stderr.write("still downloading\n")
        sys.stderr.flush()
        time.sleep(100)


def test_one_that_takes_too_long() -> None:
    with pytest.raises(StartFailed, match=r"not ready after 3 s: executor0 .*timeout_ready_s") as caught:
        Flow().add(uses=Late, timeout_ready_s=3).start()
    assert "still downloading" in str(caught.value)


def test_an_exception_is_not_held_up_by_what_it_waits_for() -> None:
    """The others may still be loading; the caller hears at once."""
    begin = time.monotonic()
    flow = Flow().add(uses=Late, timeout_ready_s=60).add(uses=Broken, uses_with={"how": "builtin"})
    with pytest.raises(StartFailed, match="KeyError"):
        flow.start()
    assert time.monotonic() - begin < 8
