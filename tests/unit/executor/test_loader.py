"""From `uses` to a class, and every way in which there is none. What needs no process of its own is here."""

from pathlib import Path
from typing import Any

import pytest

from dure.errors import SpecError
from dure.executor.base import Executor
from dure.executor.endpoints import requests
from dure.executor.loader import construct, resolve

SOURCE = """
from dure import Executor, requests

class First(Executor):
    def __init__(self, size=1, **kwargs):
        super().__init__(**kwargs)
        self.size = size
    @requests(on='/x')
    def x(self, docs, **kwargs): ...
"""


class Known(Executor):
    def __init__(self, needed: int, optional: int = 2) -> None:
        self.needed, self.optional = needed, optional

    @requests(on="/known")
    def known(self, docs: Any) -> None: ...


class NotOne: ...


def make(**arguments: Any) -> Executor:
    return construct(resolve(Known, []), arguments, {}, {"name": "known"})


def test_a_constructed_executor() -> None:
    made: Any = make(needed=1)
    assert (made.needed, made.optional, made.runtime_args.name) == (1, 2, "known")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"neded": 1}, r"^uses_with\.neded: Known takes no argument 'neded'\. Did you mean 'needed'"),
        ({}, r"^uses_with: Known: missing a required argument: 'needed'\. It takes: needed, optional"),
        ({"optional": 1}, r"missing a required argument: 'needed'.* Given were: optional"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make(**arguments)


@pytest.mark.parametrize(
    ("uses", "message"),
    [
        (NotOne, "is not a subclass of dure.Executor"),
        (f"{__name__}.NotOne", "is not a subclass of dure.Executor"),
        ("no_such_module.X", "there is no module 'no_such_module'"),
        ("dure.no_such.X", r"there is no module 'dure\.no_such'"),
        ("dure.errors.NoSuch", r"module 'dure\.errors' has no 'NoSuch'"),
        ("dure.executor.base.Executr", r"has no 'Executr'\. Did you mean 'Executor'"),
        ("NoSuch", r"no class 'NoSuch' in any imported file.*dotted name"),
        ("docker://image", "cannot fetch from docker://"),
        (3, "must be a class, name, file or folder"),
        (None, "must be a class, name, file or folder"),
    ],
    ids=str,
)
def test_uses_that_name_nothing(uses: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        resolve(uses, [])


def config(folder: Path, text: str) -> Path:
    (folder / "executor.py").write_text(SOURCE)
    path = folder / "config.yml"
    path.write_text(text)
    return path


def test_a_config(tmp_path: Path) -> None:
    text = """
jtype: First
with: {size: 3}
metas: {name: a name, py_modules: executor.py}
requests: {/y: x}
batching: {max_batch_size: 4}
"""
    made: Any = construct(resolve(config(tmp_path, text), []), {}, {"/z": "x"}, {})
    assert (made.size, made.metas.name) == (3, "a name")
    assert not hasattr(made.metas, "py_modules")
    assert set(made.requests) == {"/y", "/z"}
    assert made.requests["/y"].batching.max_batch_size == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jtype: First\nwiht: {}\n", r"config\.yml: wiht: unknown setting\. Did you mean 'with'"),
        ("with: {}\n", r"config\.yml: jtype: must name the Executor class, not None"),
        ("jtype: First\npy_modules: executor.py\nwith: 3\n", r"config\.yml: with: must be a mapping"),
        ("jtype: First\npy_modules: executor.py\nwith: {1: 2}\n", r"config\.yml: with: must be a mapping of names"),
        ("jtype: First\nmetas: text\n", r"config\.yml: metas: must be a mapping"),
        ("jtype: First\nmetas: {py_modules: 3}\n", r"config\.yml: metas\.py_modules: must be a list"),
        ("jtype: First\npy_modules: {a: b}\n", r"config\.yml: py_modules: must be a list of Python files"),
        ("jtype: First\npy_modules: [3]\n", r"config\.yml: py_modules: must be a list of Python files"),
        ("jtype: First\npy_modules: executor.py\nrequests: [x]\n", r"config\.yml: requests: must be a mapping"),
        ("jtype: First\nrequests: {/x: 3}\n", r"config\.yml: requests\['/x'\]: must be the name of a method, not 3"),
        ("jtype: First\npy_modules: executor.py\nbatching: {size: 3}\n", r"config\.yml: batching\.size: unknown"),
        ("jtype: Frist\npy_modules: executor.py\n", r"no class 'Frist'.*Did you mean 'First'"),
        ("jtype: First\npy_modules: exector.py\n", r"there is no file '.*exector\.py'"),
        ("jtype: First\n  with: 3\n", r"config\.yml:2:\d+: broken YAML"),
    ],
)
def test_a_config_with_a_fault(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        resolve(str(config(tmp_path, text)), [])


def test_a_folder_without_a_config(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"holds no config\.yml; a bundle needs one"):
        resolve(str(tmp_path), [])


def test_two_files_of_one_name(tmp_path: Path) -> None:
    for name, size in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "executor.py").write_text(SOURCE.replace("size=1", f"size={size}"))
    first, second = (resolve(tmp_path / name / "executor.py", []).kind for name in ("one", "two"))
    assert (first().size, second().size) == (1, 2)  # type: ignore[attr-defined]  # of the files
    assert resolve(tmp_path / "one" / "executor.py", []).kind is first, "a file is imported once"


def test_an_import_of_a_library_that_is_missing_is_that_error(tmp_path: Path) -> None:
    path = tmp_path / "executor.py"
    path.write_text("import no_such_library\n")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_library"):
            resolve(path, [])


def test_yaml_as_text() -> None:
    recipe = resolve(f"jtype: {__name__}.Known\nwith: {{needed: 5}}\n", [])
    assert recipe.kind is Known
    assert recipe.arguments == {"needed": 5}
