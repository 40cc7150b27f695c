"""From `uses` to an Executor: find the class a person named, and construct it.

`uses` is a class, a dotted name, a `.py` file (or `file.py:Class`), a `config.yml`, a bundle folder that holds one, or
such YAML as text. Runs in the process that will host the Executor; starts nothing.
"""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec

from dure.device.context import parse_context
from dure.device.probe import require_device
from dure.errors import SpecError
from dure.executor.base import Executor
from dure.executor.endpoints import table
from dure.executor.yaml_file import is_yaml_text, read_yaml
from dure.spec import BatchSpec, build, suggest

_CONFIG_KEYS = ("jtype", "with", "metas", "requests", "py_modules", "batching")
CONFIG = "config.yml"


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """A class and what its config.yml says of it."""

    kind: type[Executor]
    arguments: dict[str, Any] = {}
    metas: dict[str, Any] = {}
    requests: dict[str, str] = {}
    batching: BatchSpec | None = None


def resolve(uses: Any, py_modules: list[str]) -> Recipe:
    """Find the Executor class that `uses` names.

    Args:
        uses: See the module's docstring.
        py_modules: Python files to import first.

    Raises:
        SpecError: Nothing is found there, or what is there is no Executor.
    """
    modules = [_import_file(Path(path)) for path in py_modules]
    if isinstance(uses, type):
        return Recipe(kind=_checked(uses, repr(uses)))
    if not isinstance(uses, str | Path):
        raise SpecError(f"uses: must be a class, name, file or folder, not {uses!r:.60}")
    text = str(uses)
    if is_yaml_text(text) or text.endswith((".yml", ".yaml")):
        return _from_config(text, Path(text).parent if not is_yaml_text(text) else Path())
    if "://" in text:
        scheme = text.partition("://")[0]
        raise SpecError(f"uses: {text!r}: this version cannot fetch from {scheme}://; give a class, file or folder")
    if Path(text).is_dir():
        return _from_folder(Path(text))
    path, _, name = text.rpartition(":") if ".py:" in text else (text, "", "")
    if path.endswith(".py"):
        return Recipe(kind=_class_in(_import_file(Path(path)), name, text))
    return Recipe(kind=_named(text, modules))


def construct(
    recipe: Recipe,
    uses_with: dict[str, Any],
    rebind: dict[str, str],
    runtime: dict[str, Any],
    batching: BatchSpec | None = None,
) -> Executor:
    """Make the Executor.

    Args:
        recipe: Its class and config.
        uses_with: Constructor arguments, over those of the config.
        rebind: endpoint -> method, over those of the config.
        runtime: What the host tells it: name, replica, replicas.
        batching: How requests are merged, over what config and class say.

    Raises:
        SpecError: An argument nobody takes.
        DeviceNotFound: The argument `device` names a device that is not there.
    """
    arguments = {**recipe.arguments, **uses_with}
    device = arguments.get("device")
    if isinstance(device, str):
        require_device(parse_context(device))
    kind = recipe.kind
    executor = kind.__new__(kind)
    executor.requests = table(kind, {**recipe.requests, **rebind}, batching or recipe.batching)
    executor.metas = SimpleNamespace(**recipe.metas)
    executor.runtime_args = SimpleNamespace(**runtime)
    _check_arguments(kind, arguments)
    executor.__init__(**arguments)  # type: ignore[misc]  # the table and the names are there before user code runs
    return executor


def _check_arguments(kind: type[Executor], arguments: dict[str, Any]) -> None:
    signature = inspect.signature(kind)
    names = [name for name, p in signature.parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    takes = f"It takes: {', '.join(names) or 'none'}."
    unknown = [name for name in arguments if name not in names]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        name = unknown[0]
        raise SpecError(f"uses_with.{name}: {kind.__name__} takes no argument {name!r}.{suggest(name, names)} {takes}")
    # With **kwargs, whatever reaches Executor.__init__ and is unknown there is refused there.
    try:
        signature.bind(**arguments)
    except TypeError as error:
        given = f" Given were: {', '.join(arguments)}." if arguments else ""
        raise SpecError(f"uses_with: {kind.__name__}: {error}. {takes}{given}") from error


def _from_folder(folder: Path) -> Recipe:
    config = folder / CONFIG
    if not config.is_file():
        raise SpecError(f"uses: the folder {str(folder)!r} holds no {CONFIG}; a bundle needs one (see `dure hub new`)")
    return _from_config(str(config), folder)


def _from_config(source: str, folder: Path) -> Recipe:
    values, where = read_yaml(source)
    for key in values:
        if key not in _CONFIG_KEYS:
            raise SpecError(
                f"{where}: {key}: unknown setting.{suggest(key, _CONFIG_KEYS)} Known: {', '.join(_CONFIG_KEYS)}"
            )
    jtype = values.get("jtype")
    if not isinstance(jtype, str):
        raise SpecError(f"{where}: jtype: must name the Executor class, not {jtype!r}")
    metas = _mapping(values, "metas", where)
    requests = _mapping(values, "requests", where)
    for endpoint, method in requests.items():
        if not isinstance(method, str):
            raise SpecError(f"{where}: requests[{endpoint!r}]: must be the name of a method, not {method!r:.60}")
    files = [
        *_as_list(metas.get("py_modules"), f"{where}: metas.py_modules"),
        *_as_list(values.get("py_modules"), f"{where}: py_modules"),
    ]
    modules = [_import_file(folder / name) for name in files]
    batching = values.get("batching")
    return Recipe(
        kind=_named(jtype, modules),
        arguments=_mapping(values, "with", where),
        metas={key: value for key, value in metas.items() if key != "py_modules"},
        requests=requests,
        batching=build(BatchSpec, batching, f"{where}: batching") if batching else None,
    )


def _mapping(values: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    found = values.get(key) or {}
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise SpecError(f"{where}: {key}: must be a mapping of names, not {found!r:.60}")
    return found


def _as_list(value: Any, path: str) -> list[str]:
    found = [value] if isinstance(value, str) else value or []
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise SpecError(f"{path}: must be a list of Python files, not {value!r:.60}")
    return found


def _import_file(path: Path) -> ModuleType:
    file = path.resolve()
    if not file.is_file():
        raise SpecError(f"uses: there is no file {str(path)!r} (looked at {file})")
    # Two bundles may both hold an executor.py, so the module's name carries the folder.
    name = f"{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise SpecError(f"uses: {str(path)!r} is not a Python file")
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))  # the file's neighbours are its own modules
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _class_in(module: ModuleType, name: str, text: str) -> type[Executor]:
    own = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Executor) and value.__module__ == module.__name__
    }
    if name:
        if name not in own:
            raise SpecError(
                f"uses: {text!r}: no Executor {name!r} there.{suggest(name, own)} There are: {', '.join(own)}"
            )
        return own[name]
    if len(own) != 1:
        found = ", ".join(own) or "none"
        raise SpecError(
            f"uses: {text!r} must define exactly one Executor, or say which (file.py:Class). Found: {found}"
        )
    return next(iter(own.values()))


def _named(text: str, modules: list[ModuleType]) -> type[Executor]:
    for module in modules:
        if hasattr(module, text):
            return _checked(getattr(module, text), text)
    module_name, _, name = text.rpartition(".")
    if not module_name:
        if text == Executor.__name__:
            return Executor
        known = [key for module in modules for key in vars(module) if not key.startswith("_")]
        raise SpecError(
            f"uses: no class {text!r} in {[m.__name__ for m in modules] or 'any imported file'}.{suggest(text, known)}"
            " Give a dotted name (package.module.Class), a .py file, or name its file in py_modules."
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise SpecError(f"uses: {text!r}: there is no module {error.name!r}") from error
        raise
    if not hasattr(module, name):
        raise SpecError(f"uses: {text!r}: module {module_name!r} has no {name!r}.{suggest(name, dir(module))}")
    return _checked(getattr(module, name), text)


def _checked(value: Any, text: str) -> type[Executor]:
    if not (isinstance(value, type) and issubclass(value, Executor)):
        raise SpecError(f"uses: {text} is not a subclass of dure.Executor")
    return value
