"""What a method takes as `parameters`: the type that it names for them, values checked against it, and its JSON Schema.

    class Search(msgspec.Struct):
        limit: int = 10

    @requests(on="/search")
    def search(self, docs, parameters: Search): ...

Knows dataclasses, TypedDicts and msgspec's records. Without such a type anything goes.
"""

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec

from dure.errors import ParametersError, SpecError

_ANYTHING = (dict, Any, inspect.Parameter.empty)


def type_of(function: Callable[..., Any]) -> Any:
    """Return the type that a method names for its parameters; None if it names none.

    Raises:
        SpecError: A type that values cannot be checked against.
    """
    if "parameters" not in inspect.signature(function).parameters:
        return None
    try:
        kind = get_type_hints(function).get("parameters")
    except NameError:  # of an annotation that only a type checker can resolve
        return None
    if kind is None or kind in _ANYTHING or getattr(kind, "__origin__", None) is dict:
        return None
    try:
        msgspec.json.schema(kind)
    except TypeError as error:
        raise SpecError(
            f"{function.__qualname__}: parameters cannot be a {kind!r:.60} ({error}); name a dataclass, a TypedDict, a"
            " msgspec.Struct, or dict"
        ) from error
    return kind


def checked(kind: Any, values: dict[str, Any]) -> Any:
    """Return values as that type.

    Raises:
        ParametersError: They do not fit it; the message has the path.
    """
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise ParametersError(f"parameters: {error}") from error


def schema_of(kind: Any, name: str) -> dict[str, Any]:
    """Return the JSON Schema of a type, complete in itself; the names of types in it begin with `name`."""
    (schema,), parts = msgspec.json.schema_components([kind], ref_template=f"#/components/schemas/{name}.{{name}}")
    return {"schema": schema, "components": {f"{name}.{part}": value for part, value in parts.items()}}
