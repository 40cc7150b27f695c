"""A Flow as YAML, and back: the same words as in Python and on the command line.

    jtype: Flow
    with: {port: 12345}
    executors:
      - {name: encoder, uses: executor.py, uses_with: {device: cuda}}

Reads and writes settings; starts nothing.
"""

from pathlib import Path
from typing import Any

import msgspec

from dure.errors import SpecError
from dure.executor.yaml_file import read_yaml
from dure.spec import ExecutorSpec, FlowSpec, GatewaySpec, build, suggest

_KEYS = ("jtype", "version", "with", "executors")
_FILES = ("keys_file", "tls_cert", "tls_key", "tls_client_ca", "audit_file")
_FLOW_KEYS = ("name", "env")


def flow_of(source: str | Path, *, fill: bool = True) -> FlowSpec:
    """Read a Flow from a file or from YAML text; relative paths start at the file.

    Args:
        source: The file or the text.
        fill: Whether `${{ ENV.NAME }}` becomes the variable's value, or stays as it is written.

    Raises:
        SpecError: Broken YAML or a wrong setting; the message begins with the file and the path of the value.
    """
    values, where = read_yaml(source, fill=fill)
    folder = None if where.startswith("<") else Path(where).parent
    for key in values:
        if key not in _KEYS:
            raise SpecError(f"{where}: {key}: unknown setting.{suggest(key, _KEYS)} Known are: {', '.join(_KEYS)}.")
    if values.get("jtype", "Flow") != "Flow":
        raise SpecError(f"{where}: jtype: must be Flow, not {values['jtype']!r}")
    settings = values.get("with") or {}
    if not isinstance(settings, dict):
        raise SpecError(f"{where}: with: must be a mapping, not {settings!r:.60}")
    if folder is not None:
        beside = {key: folder / settings[key] for key in _FILES if isinstance(settings.get(key), str)}
        settings = {**settings, **{key: str(path) for key, path in beside.items()}}
    executors = values.get("executors") or []
    if not isinstance(executors, list):
        raise SpecError(f"{where}: executors: must be a list, not {executors!r:.60}")
    return assemble(settings, [_executor(e, i, where, folder) for i, e in enumerate(executors)], where)


def assemble(settings: dict[str, Any], executors: list[ExecutorSpec], where: str) -> FlowSpec:
    """Make a FlowSpec of settings of the Flow and of its gateway, which users write side by side."""
    own = {key: value for key, value in settings.items() if key in _FLOW_KEYS}
    gateway = {key: value for key, value in settings.items() if key not in _FLOW_KEYS}
    if isinstance(gateway.get("protocol"), str):
        gateway["protocol"] = [gateway["protocol"]]
    if isinstance(gateway.get("protocol"), list):
        gateway["protocol"] = [name.lower() if isinstance(name, str) else name for name in gateway["protocol"]]
    for key in ("allowed_hosts", "cors_origins", "trusted_proxies"):
        if isinstance(gateway.get(key), str):
            gateway[key] = [gateway[key]]
    if gateway.get("port", 0) is None:
        del gateway["port"]
    spec = build(GatewaySpec, gateway, where)
    return msgspec.structs.replace(build(FlowSpec, own, where), gateway=spec, executors=executors)


def _executor(values: Any, i: int, where: str, folder: Path | None) -> ExecutorSpec:
    path = f"{where}: executors[{i}]"
    if not isinstance(values, dict):
        raise SpecError(f"{path}: must be a mapping with `uses`, not {values!r:.60}")
    spec = build(ExecutorSpec, normalised(values), path)
    if folder is None:
        return spec
    py_modules = [str(folder / name) for name in spec.py_modules]
    return msgspec.structs.replace(spec, uses=_from(folder, spec.uses), py_modules=py_modules)


def _from(folder: Path, uses: Any) -> Any:
    if not isinstance(uses, str) or "\n" in uses or "://" in uses:
        return uses
    file = uses.partition(".py:")[0] + ".py" if ".py:" in uses else uses
    return str(folder / uses) if (folder / file).exists() else uses


def normalised(values: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of one Executor with single values where lists are meant made lists of one."""
    fields = dict(values)
    for key in ("needs", "py_modules", "volumes"):
        if isinstance(fields.get(key), str):
            fields[key] = [fields[key]]
    return fields


def yaml_of(spec: FlowSpec) -> str:
    """Write a Flow as YAML; only what differs from the defaults.

    Raises:
        SpecError: A class that no other process could find by name, or a value YAML has no word for.
    """
    import yaml

    gateway = _changed(spec.gateway)
    settings = {key: value for key, value in _changed(spec).items() if key in _FLOW_KEYS} | gateway
    values: dict[str, Any] = {"jtype": "Flow"}
    if settings:
        values["with"] = settings
    values["executors"] = [_executor_values(e, i) for i, e in enumerate(spec.executors)]
    try:
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    except yaml.YAMLError as error:
        raise SpecError(f"this Flow cannot be written as YAML: {error}") from error


def _executor_values(spec: ExecutorSpec, i: int) -> dict[str, Any]:
    values = _changed(spec)
    uses = spec.uses
    if isinstance(uses, type):
        if uses.__module__ == "__main__" or "<locals>" in uses.__qualname__:
            raise SpecError(
                f"executors[{i}].uses: {uses.__qualname__} is defined in {uses.__module__}, where no other process"
                " finds it by name; put it into a module or a file"
            )
        values["uses"] = f"{uses.__module__}.{uses.__qualname__}"
    elif isinstance(uses, Path):
        values["uses"] = str(uses)
    return values


def _changed(spec: msgspec.Struct) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for field in msgspec.structs.fields(spec):
        value = getattr(spec, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if value != default:
            out[field.name] = msgspec.to_builtins(value) if isinstance(value, msgspec.Struct) else value
    return out
